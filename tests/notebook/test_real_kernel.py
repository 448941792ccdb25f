"""The notebooks, and the live chart, in kernels of a real Jupyter server with the extension."""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter

from modelbox.entities.records import Json
from modelbox_server.testing.browser import SCREENSHOTS_VARIABLE
from modelbox_server.testing.jupyter_process import JupyterProcess, jupyter_process
from modelbox_server.testing.kernel import CellFailed, ServerKernel, server_kernel
from modelbox_widgets.live_spec import VEGALITE

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

ENDLESS = """
import modelbox, time
run = modelbox.start('doomed')
for i in range(600):
    run.log(loss=1 / (i + 1), step=i)
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    with jupyter_process(tmp_path_factory.mktemp("jupyter")) as process:
        yield process


@pytest.fixture
def kernel(server: JupyterProcess) -> Iterator[ServerKernel]:
    with server_kernel(server) as kernel:
        yield kernel


def bundles(outputs: list[Json]) -> list[Json]:
    return [output["data"] for output in outputs if "data" in output]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(kernel: ServerKernel, server: JupyterProcess, path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    outputs = {cell["id"]: kernel.run(cell["source"]) for cell in notebook.cells if cell["cell_type"] == "code"}
    assert any(outputs.values())
    assert server.token not in json.dumps(outputs)
    kernel_token = kernel.run("import os; print(os.environ['MODELBOX_JUPYTER_TOKEN'])")[0]["text"].strip()
    assert kernel_token not in json.dumps(outputs)
    for cell in notebook.cells:
        if cell["cell_type"] == "code":
            cell["outputs"] = [nbformat.from_dict(output) for output in outputs[cell["id"]]]
    nothing_is_lost_without_scripts(notebook, path.stem)


def nothing_is_lost_without_scripts(notebook: Json, name: str) -> None:
    """Convert an executed notebook to HTML: every chart is a picture or a drawing there, with words, and every table a table.

    Only HTML, pictures and text count; scripts are taken out, as by a browser that runs none.
    """
    html, _ = HTMLExporter().from_notebook_node(notebook)
    folder = os.environ.get(SCREENSHOTS_VARIABLE)
    if folder:
        (Path(folder) / f"{name}.html").write_text(html, encoding="utf-8")
    still = re.sub(r"<script\b.*?</script>", "", html, flags=re.DOTALL)
    cells = dict(re.findall(r'<div[^>]*\bid="cell-id=([^"]+)"(.*?)(?=<div[^>]*\bid="cell-id=|</main>)', still, re.DOTALL))
    for cell in notebook.cells:
        shown = cells[cell["id"]]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if VEGALITE in data:
                assert "data:image/png;base64," in shown or "<svg" in shown, cell["source"]
            if "<table" in data.get("text/html", ""):
                assert "<table" in shown, cell["source"]
            if data:
                assert re.sub(r"<[^>]+>", "", shown).strip() or "<img" in shown


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in notebook.cells if cell["cell_type"] == "code")


def test_the_live_chart_names_its_run_and_ends_with_its_data(kernel: ServerKernel) -> None:
    kernel.run("%load_ext modelbox\nimport modelbox")
    (chart,) = kernel.run("with modelbox.start('digits é') as run:\n    for i in range(50): run.log(loss=1 / (i + 1), step=i)")
    assert set(chart["data"]) == {VEGALITE, "image/png", "text/html", "text/plain"}
    assert len(chart["data"][VEGALITE]["data"]["values"]) == 50
    assert VEGALITE not in chart["metadata"]


def test_status_names_the_server_of_the_page(kernel: ServerKernel, server: JupyterProcess) -> None:
    (status,) = bundles(kernel.run("%load_ext modelbox\n%modelbox status"))
    assert server.url in status["text/plain"]
    assert server.token not in json.dumps(status)


def test_the_comparison_is_a_table_and_a_chart(kernel: ServerKernel) -> None:
    train = "import modelbox\nfor lr in (0.1, 0.2):\n  with modelbox.start('c', params={'lr': lr}, group='cmp') as run: run.log(loss=lr)"
    kernel.run(train)  # without %load_ext: no chart, but the accessor is there
    table, chart = bundles(kernel.run("modelbox.experiments(group='cmp').modelbox.compare()"))
    assert "1 setting differs" in table["text/html"]
    assert set(chart) == {VEGALITE, "image/png", "text/plain"}


def test_a_failing_cell_fails_like_any_other(kernel: ServerKernel) -> None:
    kernel.run("%load_ext modelbox")
    with pytest.raises(CellFailed, match="ZeroDivisionError: division by zero") as failure:
        kernel.run("%%modelbox run bad\n1 / 0")
    assert "modelbox/notebook" not in str(failure.value)


def test_a_cell_that_awaits_is_kept_and_shows_what_it_shows_otherwise(kernel: ServerKernel) -> None:
    kernel.run("%load_ext modelbox\nimport modelbox")
    body = "import asyncio\nprint('before')\nexp.log(loss=await asyncio.sleep(0.01, 0.5))\n6 * 7"
    chart, printed, value = kernel.run(f"%%modelbox run awaits\n{body}")
    assert chart["data"]["text/plain"] == "awaits: finished, loss=0.5"
    assert (printed["text"], value["data"]["text/plain"]) == ("before\n", "42")
    (kept,) = kernel.run("print(exp.artifact('cell.ipynb').read_bytes().decode())")
    (cell,) = json.loads(kept["text"])["cells"]
    assert [output["output_type"] for output in cell["outputs"]] == ["stream", "execute_result"]


def test_the_tab_key_offers_what_the_store_has(kernel: ServerKernel) -> None:
    kernel.run("%load_ext modelbox\nimport modelbox")
    kernel.run("with modelbox.start('tabbed é', namespace='tab/été', params={'alpha': 1}) as run: run.log({'val/loss @1': 1})")
    assert kernel.complete("%modelbox wa") == ["%modelbox watch"]
    assert kernel.complete("x = 1\n%modelbox show tab") == ["x = 1\n%modelbox show 'tabbed é'"]
    assert "%modelbox runs --namespace tab/été" in kernel.complete("%modelbox runs --namespace tab/")
    assert kernel.complete("%modelbox runs params.al") == ["%modelbox runs params.alpha"]
    # The notebooks that ran before have metrics of their own.
    assert '%modelbox runs metrics."val/loss @1"' in kernel.complete("%modelbox runs metrics.val")
    assert "%%modelbox run again --param" in kernel.complete("%%modelbox run again --pa")


# In short sleeps: a kernel that only awaits notices the interrupt when something wakes its loop.
@pytest.mark.parametrize("wait", ["import time; time.sleep(120)", "import asyncio\nfor _ in range(1200): await asyncio.sleep(0.1)"])
def test_a_cell_that_is_interrupted_is_an_interrupted_run(kernel: ServerKernel, wait: str) -> None:
    kernel.run("%load_ext modelbox\nimport modelbox")
    kernel.send(f"%%modelbox run stopped\nprint('waiting', flush=True)\n{wait}")
    ended = None
    for message in kernel.messages():
        if message["msg_type"] == "stream":
            kernel.interrupt()
        if message["msg_type"] == "execute_reply":
            ended = message["content"]["ename"]
            break
    assert ended in {"KeyboardInterrupt", "CancelledError"}
    status = kernel.run("print(exp.refresh().status, exp.metadata()['cell.error']['type'])")
    assert status[0]["text"] == f"interrupted {ended}\n"


def test_a_killed_kernel_leaves_the_picture_of_its_last_snapshot(kernel: ServerKernel) -> None:
    kernel.run("%load_ext modelbox")
    kernel.send(ENDLESS)
    begin_s = time.monotonic()
    for message in kernel.messages():
        if message["msg_type"] == "update_display_data":
            kernel.kill()
            data = message["content"]["data"]
            break
        assert time.monotonic() - begin_s < 60
    assert len(data[VEGALITE]["data"]["values"]) > 5
    assert "<svg" in data["text/html"]
    assert "doomed: running" in data["text/plain"]
