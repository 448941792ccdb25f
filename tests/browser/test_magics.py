"""The magics in a JupyterLab: the Tab key, and the way to the panel."""

import nbformat
import pytest
from playwright.sync_api import expect

from modelbox_server.testing.browser import LabPage
from modelbox_server.testing.lab import Lab

NOTEBOOK = "magics.ipynb"
SEED = """%load_ext modelbox
import modelbox
with modelbox.start("digits", namespace="équipe/vision", params={"learning_rate": 0.1, "hidden": 32}) as run:
    run.log({"val/loss @1": 0.5})"""

pytestmark = pytest.mark.slow


@pytest.fixture
def notebook(shown: LabPage, lab: Lab) -> LabPage:
    """A notebook whose first cell has run and whose last one is empty."""
    cells = [nbformat.v4.new_code_cell(source) for source in (SEED, "%modelbox open", "")]  # type: ignore[no-untyped-call]
    about = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=about), lab.notebooks / NOTEBOOK)  # type: ignore[no-untyped-call]
    shown.page.set_default_timeout(60_000)
    shown.open_notebook(NOTEBOOK)
    shown.run_all()
    shown.wait_until_ran()
    return shown


def test_tab_completes_and_the_button_opens_the_panel(notebook: LabPage) -> None:
    page = notebook.page
    last = page.locator(".jp-Notebook .jp-CodeCell").nth(2).locator(".cm-content")
    last.click()
    page.keyboard.type("%modelbox runs params.")
    page.keyboard.press("Tab")
    offered = page.locator(".jp-Completer-item")
    expect(offered.first).to_be_visible()
    assert [text.split("\n")[0] for text in offered.locator(".jp-Completer-match").all_inner_texts()] == [
        "params.hidden",
        "params.learning_rate",
    ]
    notebook.screenshot("tab")
    page.keyboard.press("Escape")

    panel = page.locator("#modelbox-panel")
    expect(panel).not_to_be_visible()
    page.get_by_role("button", name="Show experiments").click()
    expect(panel).to_be_visible()
    expect(panel).to_contain_text("digits")
