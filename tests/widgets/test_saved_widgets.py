"""What is left of widgets where nothing runs: a notebook that was executed by a program, turned into a page."""

import re

import nbformat
import pytest
from nbclient import NotebookClient

nbconvert = pytest.importorskip("nbconvert", reason="comes with JupyterLab")

CODE = """
from modelbox_widgets import CompareView, RunTable
from modelbox_widgets.testing import search
runs, points = search(4)
"""


def test_a_page_without_scripts_has_a_table_and_a_picture_in_every_place() -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in (CODE, "RunTable(runs)", "CompareView(runs, points)")]
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    NotebookClient(book, timeout=120).execute()
    nbformat.validate(book)
    page, _ = nbconvert.HTMLExporter().from_notebook_node(book)
    body = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert len(re.findall(r'<table class="modelbox-table"', body)) >= 2
    assert "data:image/svg+xml;base64," in body
    assert '<script type="application/vnd.jupyter.widget-view+json"' not in page  # which would need scripts from another host
