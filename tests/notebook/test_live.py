"""The live chart under a training cell."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell

from modelbox.client.connection import ModelBox
from modelbox.client.discovery import Where
from modelbox.entities.records import Json
from modelbox.errors import ServerUnreachable
from modelbox.notebook import live_group
from modelbox.notebook.notes import notices
from modelbox_widgets.live_spec import VEGALITE

WIDGET = "application/vnd.jupyter.widget-view+json"
TRAIN = """
import modelbox
with modelbox.start("digits") as run:
    for step in range(20):
        run.log({"val/loss @1": 1 / (step + 1), "accuracy": float("nan") if step == 3 else step / 20}, step=step)
"""


@pytest.fixture(autouse=True)
def _one_warning_each() -> Iterator[None]:
    notices.forget("The live chart cannot read its points")
    yield
    for _ in range(100):
        if not any(thread.name == "modelbox-live-chart" for thread in threading.enumerate()):
            return
        time.sleep(0.05)
    raise AssertionError("a thread of a live chart outlived its shell")


@pytest.fixture
def page(shell: InteractiveShell, box: ModelBox) -> InteractiveShell:
    """A shell whose store is the Jupyter server of the page."""
    box.session.where = Where("jupyter", "http://127.0.0.1:8888/modelbox", "a test says so")
    return shell


def outputs(shell: InteractiveShell) -> list[Json]:
    return shell.display_pub.outputs  # type: ignore[attr-defined]


def live(output: Json) -> Json:
    return output["metadata"].get(VEGALITE, {}).get("modelbox", {}).get("live")


def rows(output: Json) -> list[Json]:
    return output["data"][VEGALITE]["data"]["values"]


def ids(output: Json) -> str:
    return output["transient"]["display_id"]


def eventually(condition: Callable[[], object]) -> None:
    until_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until_s, "it never happened"
        time.sleep(0.02)


def test_it_appears_at_once_names_the_run_and_ends_as_a_picture(page: InteractiveShell, box: ModelBox) -> None:
    page.run_cell(TRAIN).raise_error()
    first, last = outputs(page)[0], outputs(page)[-1]
    (experiment,) = box.experiments()
    assert not first.get("update")
    assert live(first) == {"objects": [experiment.id], "keys": None, "interval_ms": 500}
    assert last["update"]
    assert ids(last) == ids(first)
    assert live(last) is None
    assert set(last["data"]) == {VEGALITE, "image/png", "text/html", "text/plain"}
    assert len(rows(last)) == 40
    assert "finished" in last["data"]["text/plain"]
    json.dumps(last["data"][VEGALITE], allow_nan=False)


def test_experiments_of_one_cell_share_a_chart(page: InteractiveShell, box: ModelBox) -> None:
    page.run_cell("import modelbox\nfor i in range(3):\n    with modelbox.start('digits') as run:\n        run.log(loss=i)").raise_error()
    assert len({ids(output) for output in outputs(page)}) == 1
    assert {row["run_id"] for row in rows(outputs(page)[-1])} == {experiment.id for experiment in box.experiments()}
    assert len({row["run"] for row in rows(outputs(page)[-1])}) == 3


def test_the_next_cell_has_a_chart_of_its_own(page: InteractiveShell) -> None:
    page.run_cell(TRAIN).raise_error()
    page.run_cell(TRAIN).raise_error()
    assert len({ids(output) for output in outputs(page)}) == 2


def test_a_run_that_stays_open_is_followed_until_a_later_cell_ends_it(page: InteractiveShell) -> None:
    page.run_cell("import modelbox\nrun = modelbox.start('open')\nrun.log(loss=1)").raise_error()
    assert live(outputs(page)[-1]) is not None
    page.run_cell("run.log(loss=2)\nrun.finish()").raise_error()
    assert live(outputs(page)[-1]) is None
    assert [row["value"] for row in rows(outputs(page)[-1])] == [1, 2]


def test_a_run_that_ends_while_no_cell_runs_gets_its_last_picture(page: InteractiveShell) -> None:
    page.run_cell("import modelbox\nrun = modelbox.start('background')\nrun.log(loss=1)").raise_error()
    thread = threading.Thread(target=page.user_ns["run"].finish)
    thread.start()
    thread.join()
    eventually(lambda: live(outputs(page)[-1]) is None)
    assert "image/png" in outputs(page)[-1]["data"]


def test_snapshots_hold_the_points_so_far_for_the_case_that_the_kernel_dies(
    page: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_group, "_FIRST_SNAPSHOT_S", 0.05)
    page.run_cell("import modelbox\nrun = modelbox.start('long')\nfor i in range(5): run.log(loss=i)\nrun.flush(5)").raise_error()
    outputs(page).clear()
    eventually(lambda: outputs(page))
    snapshot = outputs(page)[0]
    assert len(rows(snapshot)) == 5
    assert "<svg" in snapshot["data"]["text/html"]
    assert "image/png" not in snapshot["data"]  # drawing one holds the interpreter lock
    assert live(snapshot) is not None
    page.run_cell("run.finish()").raise_error()


def test_a_run_without_metrics_ends_as_a_line_of_text(page: InteractiveShell) -> None:
    page.run_cell("import modelbox\nwith modelbox.start('nothing'): pass").raise_error()
    assert set(outputs(page)[-1]["data"]) == {"text/html", "text/plain"}


def test_another_store_is_followed_by_a_widget_until_the_end(shell: InteractiveShell) -> None:
    """The page cannot ask a store that is not its server, so the kernel feeds it."""
    shell.run_cell(TRAIN).raise_error()
    first, last = outputs(shell)[0], outputs(shell)[-1]
    assert WIDGET in first["data"]
    assert VEGALITE not in first["data"]
    assert set(last["data"]) == {VEGALITE, "image/png", "text/html", "text/plain"}


def test_the_widget_is_fed_while_the_run_goes_on(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_group, "_WIDGET_PAUSE_S", 0.02)
    sent: list[int] = []
    monkeypatch.setattr("modelbox_widgets.cell_chart.CellChart.extend", lambda _self, blocks: sent.append(sum(map(len, blocks))))
    shell.run_cell("import modelbox\nrun = modelbox.start('fed')\nrun.log(a=1, b=2)\nrun.flush(5)").raise_error()
    eventually(lambda: sum(sent) == 2)
    shell.run_cell("run.log(a=3)\nrun.flush(5)").raise_error()
    eventually(lambda: sum(sent) == 3)
    shell.run_cell("run.finish()").raise_error()


def test_a_store_that_is_away_disturbs_no_training(
    page: InteractiveShell, box: ModelBox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(_query: object) -> None:
        raise ServerUnreachable("Nobody answers at http://127.0.0.1:9: start the server.")

    monkeypatch.setattr(live_group, "_FIRST_SNAPSHOT_S", 0.02)
    monkeypatch.setattr(box.session.transport, "read_metrics", away)
    with caplog.at_level(logging.WARNING):
        page.run_cell(f"{TRAIN}\nimport time; time.sleep(0.2)").raise_error()
        page.run_cell(TRAIN).raise_error()
    (told,) = [record.getMessage() for record in caplog.records if "live chart" in record.getMessage()]
    assert "Nobody answers" in told
    assert "digits: finished" in outputs(page)[-1]["data"]["text/plain"]


def test_a_run_that_is_deleted_leaves_the_chart(page: InteractiveShell) -> None:
    page.run_cell("import modelbox\nrun = modelbox.start('gone')\nrun.log(loss=1)").raise_error()
    page.run_cell("run.delete()").raise_error()
    count = len(outputs(page))
    page.run_cell("1 + 1").raise_error()
    assert len(outputs(page)) == count


def test_a_failed_run_says_so(page: InteractiveShell) -> None:
    result = page.run_cell("import modelbox\nwith modelbox.start('bad') as run:\n    run.log(loss=1)\n    1 / 0")
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    assert "bad: failed" in outputs(page)[-1]["data"]["text/plain"]


def test_a_terminal_has_nothing_to_draw_on(terminal: InteractiveShell) -> None:
    terminal.run_cell(TRAIN).raise_error()
    assert outputs(terminal) == []


def test_only_the_newest_runs_of_a_long_search_are_drawn(page: InteractiveShell) -> None:
    page.run_cell(
        "import modelbox\nfor i in range(25):\n    with modelbox.start(f'run {i}') as run:\n        run.log(loss=i)"
    ).raise_error()
    assert {row["run"] for row in rows(outputs(page)[-1])} == {f"run {i}" for i in range(5, 25)}


def test_names_are_only_data(page: InteractiveShell) -> None:
    name = "</script><img src=x onerror=alert(1)> datum.x"
    page.user_ns["name"] = name
    page.run_cell("import modelbox\nwith modelbox.start(name) as run:\n    run.log({name: 1.0})").raise_error()
    last = outputs(page)[-1]["data"]
    assert "<img" not in last["text/html"]
    assert rows(outputs(page)[-1])[0]["run"] == name
