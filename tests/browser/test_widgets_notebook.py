"""The notebook about widgets as a person sees it: each view comes alive, and the documentation's pictures of them are taken here.

Only where pictures are wanted: every widget has a faster test in a browser beside this one, and the notebook itself runs in all tests.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from modelbox_server.testing.browser import SCREENSHOTS_VARIABLE, LabPage, open_lab
from modelbox_server.testing.lab import Lab

NOTEBOOK = "03_widgets.ipynb"
SOURCE = Path(__file__).parents[2] / "notebooks" / NOTEBOOK
LIVE = "chart = modelbox.live("
VIEWS = {
    "run table widget": "table = modelbox.run_table(",
    "compare view widget": "view = mine.modelbox.compare_view()",
    "artifacts": "browser = modelbox.artifact_browser(best)",
    "registry": 'registry = modelbox.registry("tutorial/widgets")',
    "feed": 'feed = modelbox.event_feed("tutorial/widgets")',
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(SCREENSHOTS_VARIABLE not in os.environ, reason=f"takes pictures: 'make pictures', or set {SCREENSHOTS_VARIABLE}"),
]


@pytest.fixture(scope="module")
def shown(profile: BrowserContext, lab: Lab) -> Iterator[LabPage]:
    """One page for the whole story: each test goes on where the one before it stopped."""
    shutil.copy(SOURCE, lab.notebooks / NOTEBOOK)
    with open_lab(profile, lab) as page:
        page.page.set_default_timeout(60_000)
        page.open_notebook(NOTEBOOK)
        yield page
        assert page.errors == []
        assert page.foreign_requests == []


def test_the_chart_moves_while_the_networks_learn(shown: LabPage) -> None:
    shown.run_all()
    shown.page.wait_for_function("() => Number(document.querySelector('.mbl canvas')?.dataset.points) > 300", timeout=120_000)
    output = shown.output_of(LIVE)
    expect(output.locator(".mbl-state")).to_contain_text("live, 6 running")
    output.locator("canvas").nth(2).hover(position={"x": 230, "y": 60})
    expect(output.locator(".mbl-tip").nth(2)).to_be_visible()
    shown.screenshot("live chart", output)


def test_every_view_comes_alive_in_light_and_dark(shown: LabPage) -> None:
    shown.wait_until_ran(timeout_ms=300_000)
    for name, source in VIEWS.items():
        output = shown.output_of(source)
        expect(output.locator(".mb-Widget.mb-mod-live .modelbox-widget")).to_be_visible()
        shown.screenshot(name, output)
    expect(shown.output_of(VIEWS["feed"]).get_by_role("log")).to_contain_text("looked at closely", timeout=30_000)
    with shown.theme("JupyterLab Dark"):
        for name, source in VIEWS.items():
            shown.screenshot(f"{name} dark", shown.output_of(source))
