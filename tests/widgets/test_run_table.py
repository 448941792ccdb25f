"""The table of runs: what it tells the page, and what the page may tell it."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

import modelbox
from modelbox.client.connection import ModelBox
from modelbox.entities.records import Json
from modelbox.errors import InvalidQuery, InvalidRequest
from modelbox.testing import memory_connection
from modelbox_widgets import RunTable
from modelbox_widgets.testing import HOSTILE_NAMES, run_id_of, search


@pytest.fixture
def runs() -> pd.DataFrame:
    frame, _ = search(6)
    return frame


@pytest.fixture(scope="module")
def box() -> Iterator[ModelBox]:
    with memory_connection() as box:
        for number in range(3):
            with box.start(f"run-{number}", params={"lr": 10.0**-number, "opt": "adam"}) as run:
                for step in range(5):
                    run.log(loss=1.0 / (number + 1 + step), step=step)
        yield box


def tell(table: RunTable, **state: Json) -> None:
    """Do what a message of the page does."""
    table._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})


def found(table: RunTable) -> list[int]:
    return [int(row) for row in np.frombuffer(table._found["rows"], dtype="<i4")]


def test_what_is_selected_in_the_page_is_a_frame_in_python(runs: pd.DataFrame) -> None:
    table = RunTable(runs)
    seen: list[list[str]] = []
    stop = table.on_select(lambda frame: seen.append(list(frame["experiment_id"])))
    tell(table, selected_ids=[run_id_of(4), run_id_of(1)])
    assert list(table.selected["experiment_id"]) == [run_id_of(1), run_id_of(4)]
    assert list(table.selected.columns) == list(runs.columns)
    stop()
    tell(table, selected_ids=[])
    assert seen == [[run_id_of(1), run_id_of(4)]]


def test_python_may_select_by_frame_and_by_ids(runs: pd.DataFrame) -> None:
    table = RunTable(runs)
    table.selected = runs.iloc[[3, 0]]
    assert table.get_state("selected_ids")["selected_ids"] == [run_id_of(3), run_id_of(0)]
    table.selected = [run_id_of(2)]
    assert len(table.selected) == 1
    table.selected = None
    assert table.selected.empty
    with pytest.raises(InvalidRequest, match="There is no run 'nobody' here"):
        table.selected_ids = ["nobody"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("params.lr < 0.005", [0, 1]),
        ("params.lr >= 0.01 and not params.seed = 1 or name = nobody", [2, 4]),
        ('metrics."val/loss @1".min < 0.5 order by params.lr desc, params.seed desc limit 3', [5, 4, 3]),
        ("tags.search and meta.packages.torch = '2.1'", [2, 3]),
        ("status = finished and age > 1d", [0, 1, 2, 3, 4, 5]),
        ("status = failed", []),
    ],
)
def test_a_query_is_decided_from_the_frame_where_there_is_no_store(runs: pd.DataFrame, query: str, expected: list[int]) -> None:
    frame = runs.assign(created_at=pd.Timestamp("2026-01-01", tz="UTC"))
    table = RunTable(frame)
    tell(table, query=query)
    assert table._found["trouble"] == ""
    assert found(table) == expected
    assert list(table.shown["experiment_id"]) == [run_id_of(number) for number in expected]


def test_store_and_frame_mean_the_same(box: ModelBox) -> None:
    for query in (
        "params.lr < 0.5 order by metrics.loss",
        "metrics.loss.max > 0.4 and params.opt = adam",
        "name ~ '[12]$'",
        "not status = running",
    ):
        frame = modelbox.experiments(connection=box)
        asked, decided = (RunTable(frame, query=query, connection=connection) for connection in (box, None))
        assert found(asked) == found(decided)


def test_a_wrong_query_shows_its_caret_line_and_leaves_the_rows(runs: pd.DataFrame) -> None:
    table = RunTable(runs, query="params.lr < 0.005")
    tell(table, query="params.lr >> 1")
    assert "^" in table._found["trouble"]
    assert found(table) == [0, 1]
    tell(table, query="")
    assert table._found == {"version": 1, "query": "", "trouble": "", "rows": None}
    with pytest.raises(InvalidQuery):
        RunTable(runs, query="params.lr >> 1")


def test_columns_travel_packed_and_only_when_they_are_shown(runs: pd.DataFrame) -> None:
    table = RunTable(runs, columns=["name", "params.lr"])
    columns = table._data["columns"]
    assert list(columns) == ["name", "params.lr"]
    assert columns["name"]["values"] == ["digits-mlp"]
    assert np.frombuffer(columns["name"]["data"], dtype="<i4").tolist() == [0] * 6
    assert np.frombuffer(columns["params.lr"]["data"], dtype="<f8").tolist() == runs["params.lr"].tolist()
    content, buffers = table.answer("columns", {"names": ["owner", "params.seed", "nobody", 3]})
    assert [column["name"] for column in content["columns"]] == ["owner", "params.seed"]
    assert np.frombuffer(buffers[1], dtype="<f8").tolist() == runs["params.seed"].tolist()


def test_values_of_every_kind_have_their_kind() -> None:
    frame = pd.DataFrame(
        {
            "experiment_id": ["a", "b"],
            "params.big": [2**60, 1],
            "params.count": pd.array([3, None], dtype="Int64"),
            "params.flag": [True, False],
            "params.mixed": [1, "one"],
            "params.maybe": [1, None],
            "started_at": pd.to_datetime(["2026-01-01T00:00:00Z", None], utc=True),
            "duration_s": [1.5, np.nan],
            "metrics.loss": [np.nan, np.inf],
        }
    )
    table = RunTable(frame, columns=list(frame.columns))
    kinds = {head["name"]: head["kind"] for head in table._data["heads"]}
    assert kinds == {
        "experiment_id": "text",
        "params.big": "text",
        "params.count": "integer",
        "params.flag": "text",
        "params.mixed": "text",
        "params.maybe": "number",
        "started_at": "time",
        "duration_s": "seconds",
        "metrics.loss": "number",
    }
    started = np.frombuffer(table._data["columns"]["started_at"]["data"], dtype="<f8")
    assert started[0] == 1767225600000.0
    assert np.isnan(started[1])
    assert table._data["columns"]["params.big"]["values"] == [str(2**60), "1"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_of_users_are_only_ever_values(name: str) -> None:
    frame, _ = search(4, name=name, loss=name, param=name)
    table = RunTable(frame)
    html = table.static_bundle()[0]["text/html"]
    assert "<img" not in html
    assert "</script>" not in html
    assert f"params.{name}" in table._data["columns"]


def test_the_store_gives_curves_and_fresh_runs(box: ModelBox) -> None:
    table = modelbox.run_table("params.lr < 5", connection=box, sparkline="loss")
    ids = list(table.runs["experiment_id"])
    content, buffers = table.answer("sparks", {"ids": [*ids, "nobody", None]})
    assert sorted(content["ids"]) == sorted(ids)
    assert {len(np.frombuffer(buffer, dtype="<f8")) for buffer in buffers} == {5}
    with box.start("late", params={"lr": 3.0}) as late:
        late.log(loss=0.1, step=0)
    tell(table, selected_ids=ids[:1])
    table.answer("reload", {})
    assert len(table.runs) == 4
    assert table._data["version"] == 2
    assert late.id in list(table.shown["experiment_id"])
    assert table.selected_ids == ids[:1]
    late.delete()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sort_by": "metrics.val/los @1"}, "the frame has no column, parameter or metric 'metrics.val/los @1'. Did you mean"),
        ({"baseline": "nobody"}, "There is no run 'nobody' here"),
        ({"sparkline": "los"}, "None of these runs has the metric 'los'"),
        ({"colums": []}, "RunTable has no setting 'colums'. Did you mean 'columns'?"),
    ],
)
def test_a_wrong_setting_gets_a_sentence(runs: pd.DataFrame, settings: dict[str, Json], message: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        RunTable(runs, **settings)
    assert message in str(raised.value)


def test_what_is_saved_is_the_table_as_it_is_sorted_and_filtered(runs: pd.DataFrame) -> None:
    table = RunTable(runs, query="params.lr > 0.005", sort_by="params.lr", ascending=False, columns=["name", "params.lr"])
    bundle, _ = table.static_bundle()
    assert bundle["text/plain"].splitlines()[0] == "4 runs of 6: params.lr > 0.005"
    assert [line.split()[-1] for line in bundle["text/plain"].splitlines()[4:]] == ["0.1", "0.1", "0.01", "0.01"]
    assert "modelbox-table" in bundle["text/html"]


def test_an_empty_frame_is_a_table_too() -> None:
    table = RunTable(pd.DataFrame({"experiment_id": pd.Series([], dtype=str)}))
    assert table.shown.empty
    assert table.static_bundle()[0]["text/plain"].startswith("0 runs")
