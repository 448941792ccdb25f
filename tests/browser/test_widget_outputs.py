"""Outputs of widgets: live while the kernel has them, and never blank afterwards."""

from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from modelbox_server.testing.browser import LabPage
from modelbox_server.testing.lab import Lab
from modelbox_widgets.base import WIDGET, WIDGET_VIEW

NOTEBOOK = "widget.ipynb"
CODE = """
from modelbox_widgets.base import NotebookWidget

class Probe(NotebookWidget):
    _esm = "export default { render({ el }) { el.className = 'probe'; el.textContent = 'alive' } }"

    def static_bundle(self):
        return {"text/plain": "saved", "text/html": "<p class='saved'>saved</p>"}, {}

Probe()
"""

pytestmark = pytest.mark.timeout(300)


def notebook(path: Path, *cells: nbformat.NotebookNode) -> str:
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells), metadata=kernel), path)
    return path.name


def test_a_widget_is_live_survives_a_reload_and_leaves_what_was_saved_when_its_kernel_is_gone(shown: LabPage, lab: Lab) -> None:
    name = notebook(lab.notebooks / NOTEBOOK, nbformat.v4.new_code_cell(CODE))
    shown.open_notebook(name)
    shown.run_all()
    shown.wait_until_ran()
    live, saved = shown.page.locator(".mb-Widget .probe"), shown.page.locator(".mb-Widget .saved")
    expect(live).to_have_text("alive")
    expect(saved).to_be_hidden()
    shown.save()

    shown.open()  # the same kernel goes on
    shown.open_notebook(name)
    expect(live).to_be_visible(timeout=60_000)

    shown.page.evaluate("() => { void window.jupyterapp.shell.currentWidget.sessionContext.restartKernel(); }")
    expect(saved).to_be_visible(timeout=60_000)
    expect(live).to_have_count(0)

    shown.open()  # another kernel, which has never heard of the widget
    shown.open_notebook(name)
    expect(saved).to_be_visible()
    expect(shown.page.locator(".mb-Widget-note")).to_contain_text("As it was saved")
    expect(shown.page.get_by_text("model not found").locator("visible=true")).to_have_count(0)

    shown.run_all()
    shown.wait_until_ran()
    expect(live).to_be_visible()


def test_a_notebook_that_is_not_trusted_shows_what_was_saved_and_runs_nothing(shown: LabPage, lab: Lab) -> None:
    evil = "<p class='saved'>saved</p><script>window.owned = 1</script><img src=x onerror='window.owned = 2'>"
    data = {WIDGET: {"model_id": "0" * 32}, WIDGET_VIEW: {"model_id": "0" * 32}, "text/html": evil, "text/plain": "saved"}
    output = nbformat.v4.new_output("display_data", data=data)
    name = notebook(lab.notebooks / "stranger.ipynb", nbformat.v4.new_code_cell("widget", outputs=[output], execution_count=1))
    shown.open_notebook(name)
    expect(shown.page.locator(".mb-Widget .saved")).to_be_visible()
    shown.page.wait_for_timeout(1000)
    assert shown.page.evaluate("() => window.owned") is None
    expect(shown.page.locator(".mb-Widget-live")).to_have_count(0)
