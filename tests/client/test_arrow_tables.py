"""Points as Arrow tables are read by polars, pyarrow and DuckDB, and hold the same as the DataFrame."""

import math

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import modelbox
from modelbox.client.connection import ModelBox
from modelbox.errors import InvalidRequest
from modelbox.frames import arrow_tables
from modelbox.wire.query.ast import MetadataField, MetricField
from modelbox.wire.query.spelling import quoted, spelled
from modelbox_widgets.testing import HOSTILE_NAMES


@pytest.fixture
def logged(box: ModelBox) -> ModelBox:
    for number in range(3):
        run = box.start(f"run {number}")
        for step in range(5):
            run.log({"loss": step / (number + 1), "val/loss @1": math.nan if step == 1 else math.inf}, step=step, wall_time=step)
        run.log({"phase": "été"}, step=2)
    return box


def test_pyarrow_reads_what_the_frame_holds(logged: ModelBox) -> None:
    runs = modelbox.experiments(connection=logged)
    points = modelbox.metrics(runs, ["loss", "val/loss @1"], format="arrow", connection=logged)
    frame = modelbox.metrics(runs, ["loss", "val/loss @1"], connection=logged)
    table = pa.table(points)
    assert table.schema == pa.schema(points)
    assert {field.name: str(field.type) for field in table.schema} == {
        "experiment_id": "string",
        "key": "string",
        "step": "int64",
        "wall_time": "timestamp[us, tz=UTC]",
        "value": "double",
    }
    table.validate(full=True)
    assert len(points) == table.num_rows == len(frame) == 30
    for column in ("experiment_id", "key", "step"):
        assert table[column].to_pylist() == frame[column].tolist()
    assert np.array_equal(table["value"].to_numpy(), frame["value"].to_numpy(), equal_nan=True)
    assert table["wall_time"].to_pylist() == frame["wall_time"].dt.to_pydatetime().tolist()


def test_polars_reads_it_any_number_of_times(logged: ModelBox) -> None:
    points = modelbox.metrics(modelbox.experiments(connection=logged), "loss", format="arrow", connection=logged)
    for _ in range(2):
        best = pl.DataFrame(points).group_by("experiment_id").agg(pl.col("value").max())
        assert sorted(best["value"]) == [4 / 3, 2.0, 4.0]


def test_duckdb_queries_it(logged: ModelBox) -> None:
    points = modelbox.metrics(modelbox.experiments(connection=logged), "loss", format="arrow", connection=logged)
    assert points.column_names[:2] == ["experiment_id", "key"]
    with duckdb.connect() as database:
        found = database.sql("select count(*), max(value), max(epoch(wall_time)) from points where step > 2").fetchall()
    assert found == [(6, 4.0, 4.0)]


def test_text_and_bytes_have_columns_of_their_own(logged: ModelBox) -> None:
    run = logged.experiments()[0]
    run.log({"mask": b"\x00\xff"}, step=9)
    table = pl.DataFrame(modelbox.metrics(run, ["loss", "mask", "phase"], format="arrow", connection=logged)).sort("key", "step")
    assert table.columns == ["experiment_id", "key", "step", "wall_time", "value", "text", "bytes"]
    assert table["text"].to_list() == [None] * 6 + ["été"]
    assert table["bytes"].to_list() == [None] * 5 + [b"\x00\xff", None]
    assert table["value"].null_count() == 2


def test_many_points_come_in_batches(logged: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_tables, "_BATCH_POINTS", 4)
    runs = modelbox.experiments(connection=logged)
    points = modelbox.metrics(runs, ["loss", "phase"], format="arrow", connection=logged)
    table = pa.table(points)
    assert [len(batch) for batch in table.to_batches()] == [4, 4, 4, 4, 2]
    table.validate(full=True)
    frame = modelbox.metrics(runs, ["loss", "phase"], connection=logged)
    merged = [text if value is None else value for value, text in zip(table["value"].to_pylist(), table["text"].to_pylist(), strict=True)]
    assert merged == frame["value"].tolist()


def test_no_points_are_a_table_too(box: ModelBox) -> None:
    points = modelbox.metrics([], format="arrow", connection=box)
    assert pl.DataFrame(points).shape == (0, 5)
    assert pa.table(points).num_rows == 0
    assert repr(points) == "<0 points of 0 series: experiment_id, key, step, wall_time, value>"


def test_an_unknown_format_is_refused(box: ModelBox) -> None:
    with pytest.raises(InvalidRequest, match="take 'pandas' or 'arrow'"):
        modelbox.metrics([], format="polars", connection=box)  # type: ignore[call-overload]
    with pytest.raises(InvalidRequest, match="pivot it"):
        modelbox.metrics([], format="arrow", wide=True, connection=box)


def test_a_wide_table_has_room_for_metrics_called_like_its_index(box: ModelBox) -> None:
    run = box.start("a")
    run.log({"step": 5.0, "experiment_id": 7.0, "loss": 1.0}, step=3)
    wide = modelbox.metrics(run, wide=True, connection=box)
    assert wide.columns.tolist() == ["experiment_id", "step", "metrics.experiment_id", "loss", "metrics.step"]
    assert wide.iloc[0].tolist() == [run.id, 3, 7.0, 1.0, 5.0]


@pytest.fixture
def mixed(box: ModelBox) -> ModelBox:
    with box.start("a", params={"int": 1, "float": math.inf, "flag": True, "mixed": [1, math.nan], "text": "é"}, tags=["t"]) as run:
        run.log(loss=0.5)
    box.start("</script>", params={"float": 0.5, "mixed": "x", "flag": False, "text": None})
    return box


def test_runs_are_arrow_without_pyarrow_between(mixed: ModelBox) -> None:
    runs, frame = modelbox.experiments(format="arrow", connection=mixed), modelbox.experiments(connection=mixed)
    assert runs.column_names == frame.columns.tolist()
    table = pa.table(runs)
    table.validate(full=True)
    assert table.schema == pa.schema(runs)
    types = {field.name: str(field.type) for field in table.schema}
    assert types["created_at"] == types["finished_at"] == "timestamp[us, tz=UTC]"
    assert [types[f"params.{name}"] for name in ("int", "float", "flag", "mixed", "text")] == [
        "int64",
        "double",
        "bool",
        "string",
        "string",
    ]
    assert types["tags.t"] == "bool"
    rows = table.to_pylist()
    assert [row["name"] for row in rows] == ["</script>", "a"]
    assert [row["params.int"] for row in rows] == [None, 1]
    assert [row["params.float"] for row in rows] == [0.5, math.inf]
    assert [row["params.flag"] for row in rows] == [False, True]
    assert [row["params.mixed"] for row in rows] == ["x", '[1, {"$float": "NaN"}]']
    assert [row["params.text"] for row in rows] == [None, "é"]
    assert [row["tags.t"] for row in rows] == [False, True]
    assert rows[0]["finished_at"] is None
    assert rows[1]["created_at"] == frame["created_at"][1]
    assert pl.DataFrame(runs).columns == runs.column_names
    assert repr(runs).startswith("<2 rows of 22 columns: experiment_id, name, ")


def test_what_sql_selects_is_arrow_too(mixed: ModelBox) -> None:
    selected = modelbox.sql("select name, created_at, duration_s, null as missing from experiments", format="arrow", connection=mixed)
    table = pl.DataFrame(selected).sort("name")
    assert table["name"].to_list() == ["</script>", "a"]
    assert table["duration_s"].null_count() + table["duration_s"].is_nan().sum() == 1
    assert table["missing"].to_list() == [None, None]
    assert str(table["created_at"].dtype) == "Datetime(time_unit='us', time_zone='UTC')"
    chosen = modelbox.experiments("order by name show name, metrics.loss.first", format="arrow", connection=mixed)
    assert pa.table(chosen)["metrics.loss.first"].to_pylist()[1] == 0.5
    assert pl.DataFrame(modelbox.sql("select name from experiments where 0", format="arrow", connection=mixed)).shape == (0, 1)
    with pytest.raises(InvalidRequest, match="take 'pandas' or 'arrow'"):
        modelbox.sql("select 1", format="csv", connection=mixed)  # type: ignore[call-overload]


def test_duckdb_queries_frames_and_arrow_alike(mixed: ModelBox) -> None:
    frame, arrow = modelbox.experiments(connection=mixed), modelbox.experiments(format="arrow", connection=mixed)
    assert len(frame) == len(arrow) == 2
    with duckdb.connect() as database:
        for name in ("frame", "arrow"):
            found = database.sql(f'select name, "params.int", "metrics.loss" from {name} where "params.float" > 1').fetchall()
            assert found == [("a", 1, 0.5)]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_columns_like_any_other(box: ModelBox, name: str) -> None:
    """They are asked for by the query language, and come back literally in every form."""
    with box.start(name, params={name: name}) as run:
        run.log({name: 1.0})
    param, metric = spelled(MetadataField(("params", name))), spelled(MetricField(name, "first"))
    q = f"{param} = {quoted(name)} and {metric} = 1 show name, {param}, {metric}"
    row = {"experiment_id": run.id, "name": name, f"params.{name}": name, f"metrics.{name}.first": 1.0}
    assert modelbox.experiments(q, connection=box).to_dict("records") == [row]
    arrow = modelbox.experiments(q, format="arrow", connection=box)
    assert pl.DataFrame(arrow).to_dicts() == pa.table(arrow).to_pylist() == [row]
    points = pl.DataFrame(modelbox.metrics(run, name, format="arrow", connection=box))
    assert points["key"].to_list() == [name]
