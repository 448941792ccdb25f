"""The whole path, as a person goes it: open the quickstart, run it, look at everything, stop the kernel, come back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from modelbox_server.testing.browser import LabPage, open_lab
from modelbox_server.testing.lab import Lab

NOTEBOOK = "00_quickstart.ipynb"
SOURCE = Path(__file__).parents[2] / "notebooks" / NOTEBOOK

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def shown(profile: BrowserContext, lab: Lab) -> Iterator[LabPage]:
    """One page for the whole story: each test goes on where the one before it stopped."""
    shutil.copy(SOURCE, lab.notebooks / NOTEBOOK)
    with open_lab(profile, lab) as page:
        page.page.set_default_timeout(60_000)
        page.open_notebook(NOTEBOOK)
        yield page


def test_a_live_chart_grows_while_the_cells_train(shown: LabPage) -> None:
    shown.run_all()
    search = shown.page.locator(".mb-Chart").nth(1)
    expect(search.locator(".mb-Chart-status")).to_have_text("live", timeout=120_000)
    lines = search.locator(".mark-line path")
    shown.page.wait_for_function("() => document.querySelectorAll('.mb-Chart')[1].querySelectorAll('.mark-line path').length >= 3")
    early = lines.count()
    shown.page.wait_for_function(
        "early => document.querySelectorAll('.mb-Chart')[1].querySelectorAll('.mark-line path').length > early", arg=early
    )
    shown.show_panel()
    output = shown.output_of("for learning_rate, hidden, seed in product(")
    expect(output.locator("svg.marks")).to_be_in_viewport()
    shown.screenshot("live")


def test_every_cell_runs_without_an_error(shown: LabPage) -> None:
    shown.wait_until_ran(timeout_ms=300_000)


def test_the_compare_view_shows_differences_and_curves(shown: LabPage) -> None:
    output = shown.output_of("runs.modelbox.compare()")
    expect(output.locator("svg.marks")).to_be_visible()
    expect(output).to_contain_text("learning_rate")
    assert output.locator(".mark-line path").count() >= 18
    with shown.tall():
        shown.screenshot("compare", output)


def test_the_panel_lists_the_runs(shown: LabPage) -> None:
    panel = shown.show_panel()
    expect(panel.locator(".mb-Run")).to_have_count(20)
    expect(panel.locator("h3")).to_contain_text("tutorial/digits")
    panel.locator(".mb-Run-summary").nth(1).click()
    expect(panel.locator(".mb-Details-metrics")).to_contain_text("test/accuracy")
    shown.screenshot("panel", panel)
    shown.screenshot("whole page")


def test_nothing_was_asked_of_another_host_and_no_output_holds_a_token(shown: LabPage, lab: Lab) -> None:
    assert shown.foreign_requests == []
    shown.save()
    saved = (lab.notebooks / NOTEBOOK).read_text()
    assert lab.server.token not in saved
    assert "MODELBOX_JUPYTER_TOKEN" not in saved


def test_everything_is_still_shown_with_the_kernel_gone_and_the_page_reloaded(profile: BrowserContext, shown: LabPage, lab: Lab) -> None:
    before = shown.charts().count()
    assert before >= 4
    _, kernels = lab.request("GET", "api/kernels")
    for kernel in kernels:
        lab.request("DELETE", f"api/kernels/{kernel['id']}")
    with open_lab(profile, lab) as later:
        later.open_without_kernel(NOTEBOOK)
        for source in ["experiment, network = train(", "for learning_rate, hidden, seed in product(", "runs.modelbox.compare()"]:
            chart = later.output_of(source).locator("svg.marks").first
            expect(chart).to_be_visible()
        expect(later.page.locator(".mb-Chart-error")).to_have_count(0)
        later.screenshot("after reload")
        assert later.foreign_requests == []
