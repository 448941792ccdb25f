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
    with pytest.raises(InvalidRequest, match="wide=True with 'pandas' only"):
        modelbox.metrics([], format="arrow", wide=True, connection=box)


def test_a_wide_table_has_room_for_metrics_called_like_its_index(box: ModelBox) -> None:
    run = box.start("a")
    run.log({"step": 5.0, "experiment_id": 7.0, "loss": 1.0}, step=3)
    wide = modelbox.metrics(run, wide=True, connection=box)
    assert wide.columns.tolist() == ["experiment_id", "step", "metrics.experiment_id", "loss", "metrics.step"]
    assert wide.iloc[0].tolist() == [run.id, 3, 7.0, 1.0, 5.0]
