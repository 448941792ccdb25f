"""Tables of runs and points: which columns, of which types, in which order."""

import math
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

import modelbox
from modelbox import frames
from modelbox.client.connection import ModelBox
from modelbox.entities.records import ExperimentRecord, Status
from modelbox.errors import InvalidRequest
from modelbox.wire.messages import ExperimentFrame, MetadataColumns, SummaryColumns

FIELDS = [
    "experiment_id",
    "name",
    "namespace",
    "status",
    "owner",
    "group",
    "framework",
    "parent_id",
    "created_at",
    "started_at",
    "finished_at",
    "duration_s",
]


def test_columns_come_in_one_order(box: ModelBox) -> None:
    with box.start("demo", params={"b": 1, "a": "x"}, tags=["t"], metadata={"git": "abc"}) as run:
        run.log({"val/loss @1": 0.5, "acc": 0.9})
    table = modelbox.experiments(connection=box)
    assert list(table.columns[:12]) == FIELDS
    assert list(table.columns[12:]) == [
        "params.a",
        "params.b",
        "tags.t",
        "git",
        *(f"metrics.{key}{part}" for key in ("acc", "val/loss @1") for part in ("", ".last", ".min", ".max")),
    ]
    assert table.attrs["modelbox"] == {"kind": "memory", "address": "memory", "metrics": ["acc", "val/loss @1"]}


def test_columns_have_the_types_of_their_values(box: ModelBox) -> None:
    box.start(
        "first",
        params={"int": 1, "float": 0.5, "bool": True, "text": "a", "mixed": 1, "number": 1, "list": [1, 2], "some": 3, "flag": True},
    )
    box.start("second", params={"int": 2, "float": math.inf, "bool": False, "text": "b", "mixed": "x", "number": 0.5, "list": [3]})
    table = modelbox.experiments(connection=box)
    dtypes = {column.removeprefix("params."): str(table[column].dtype) for column in table.columns if column.startswith("params.")}
    assert dtypes == {
        "bool": "bool",
        "flag": "boolean",
        "float": "float64",
        "int": "int64",
        "list": "object",
        "mixed": "object",
        "number": "float64",
        "some": "Int64",
        "text": "str",
    }
    assert table["params.list"].tolist() == [[3], [1, 2]]
    assert table["params.some"].isna().tolist() == [True, False]


def test_times_are_aware_and_durations_are_seconds(box: ModelBox) -> None:
    run = box.start("running")
    with box.start("ended"):
        pass
    table = modelbox.experiments(connection=box).set_index("name")
    for column in ("created_at", "started_at", "finished_at"):
        assert str(table[column].dtype) == "datetime64[us, UTC]"
    assert table.loc["running", "started_at"] == run.record.started_at
    assert pd.isna(table.loc["running", "finished_at"])
    assert math.isnan(table.loc["running", "duration_s"])
    assert table.loc["ended", "duration_s"] >= 0


def test_summaries_know_nan_infinity_and_late_points(box: ModelBox) -> None:
    run = box.start("demo")
    for step, value in ((3, math.nan), (1, 0.1), (2, math.inf)):
        run.log(loss=value, step=step)
    run.log(note="last words")
    table = modelbox.experiments(connection=box)
    assert math.isnan(table["metrics.loss"][0])
    assert (table["metrics.loss.min"][0], table["metrics.loss.max"][0]) == (0.1, math.inf)
    assert table["metrics.note"][0] == "last words"
    assert table["metrics.loss"].dtype == np.float64


def test_missing_metrics_are_missing_values(box: ModelBox) -> None:
    box.start("with").log(loss=1.0)
    box.start("without")
    assert modelbox.experiments(connection=box)["metrics.loss"].isna().tolist() == [True, False]


def test_no_two_columns_share_a_name(box: ModelBox) -> None:
    run = box.start("demo", metadata={"name": "metadata called name", "status": 1})
    run.log({"loss": 0.5, "loss.min": 7.0, "loss.last": 8.0})
    table = modelbox.experiments(connection=box)
    assert table.columns.is_unique
    assert table["name"][0] == "demo"
    assert table["metadata.name"][0] == "metadata called name"
    assert table["metrics.loss.min"][0] == 7.0


def test_an_empty_store_is_an_empty_table_with_all_fields(box: ModelBox) -> None:
    table = modelbox.experiments(connection=box)
    assert list(table.columns) == FIELDS
    assert len(table) == 0
    assert len(modelbox.metrics(table, connection=box)) == 0
    assert next(iter(modelbox.models(connection=box).columns)) == "model_id"


def test_filters_are_those_of_a_connection(box: ModelBox) -> None:
    box.start("a", namespace="équipe/vision")
    box.start("b").finish()
    assert modelbox.experiments(namespace="équipe", connection=box)["name"].tolist() == ["a"]
    assert modelbox.experiments(status="finished", connection=box)["name"].tolist() == ["b"]
    assert modelbox.experiments(limit=1, connection=box)["name"].tolist() == ["b"]


def test_more_than_a_page_of_runs_is_one_table(box: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelbox.client.connection.MAX_PAGE", 3)
    for i in range(8):
        box.start(f"run {i}", params={"i": i}).log(i=float(i))
    table = modelbox.experiments(connection=box)
    assert table["params.i"].tolist() == list(range(7, -1, -1))
    assert table["metrics.i"].tolist() == [float(i) for i in range(7, -1, -1)]
    assert len(modelbox.experiments(limit=5, connection=box)) == 5


def test_any_number_of_ids_is_one_table(box: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelbox.frames.runs._IDS_PER_REQUEST", 3)
    for i in range(8):
        box.start(f"run {i}", params={"i": i, f"only.{i}": i}).log(i=float(i))
    everything = modelbox.experiments(connection=box)
    shuffled = everything["experiment_id"].sample(frac=1, random_state=1)
    found = modelbox.experiments(ids=[*shuffled, "gone", shuffled.iloc[0]], connection=box)
    pd.testing.assert_frame_equal(found, everything)
    assert modelbox.experiments(ids=shuffled.iloc[0], connection=box)["experiment_id"].tolist() == [shuffled.iloc[0]]
    some = modelbox.experiments("params.i >= 6 show name, metrics.i", ids=shuffled, connection=box)
    assert some[["name", "metrics.i"]].to_numpy().tolist() == [["run 7", 7.0], ["run 6", 6.0]]
    with pytest.raises(InvalidRequest, match="cannot be ordered or limited together"):
        modelbox.experiments("order by name", ids=shuffled, connection=box)
    with pytest.raises(InvalidRequest, match="cannot be ordered or limited together"):
        modelbox.experiments(ids=shuffled, limit=2, connection=box)


def test_a_query_chooses_the_columns(box: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelbox.client.connection.MAX_PAGE", 2)
    for i in range(3):
        run = box.start(f"run {i}", params={"lr": i / 10, "a.b[0]": "=cmd"}, tags=["odd"] if i % 2 else [])
        for step in range(i + 1):
            run.log({"loss": 1.0 - step, "val/loss @1": math.nan}, step=step)
    q = (
        "params.lr >= 0 order by params.lr show name, created, age, duration, params.lr, params.`a.b[0]`, params.no, tags.odd, "
        "metrics.loss, metrics.loss.first, metrics.loss.at(1), metrics.loss.count, metrics.`val/loss @1`.last"
    )
    table = modelbox.experiments(q, connection=box)
    assert {column: str(dtype) for column, dtype in table.dtypes.items()} == {
        "experiment_id": "str",
        "name": "str",
        "created_at": "datetime64[us, UTC]",
        "age_s": "float64",
        "duration_s": "float64",
        "params.lr": "float64",
        "params.a.b[0]": "str",
        "params.no": "object",
        "tags.odd": "bool",
        "metrics.loss": "float64",
        "metrics.loss.first": "float64",
        "metrics.loss.at(1)": "float64",
        "metrics.loss.count": "int64",
        "metrics.val/loss @1.last": "float64",
    }
    assert table["name"].tolist() == ["run 0", "run 1", "run 2"]
    assert table["tags.odd"].tolist() == [False, True, False]
    assert table["metrics.loss.first"].tolist() == [1.0, 1.0, 1.0]
    assert table["metrics.loss.at(1)"].isna().tolist() == [True, False, False]
    assert table["metrics.loss.count"].tolist() == [1, 2, 3]
    assert table["params.no"].isna().all()
    assert len(modelbox.experiments("name = nobody show name, metrics.loss", connection=box)) == 0


def test_points_of_many_runs_are_one_long_table(box: ModelBox) -> None:
    runs = [box.start(f"run {i}") for i in range(2)]
    for run in runs:
        for step in (2, 0, 1):
            run.log({"loss": step / 10, "val/loss @1": math.nan}, step=step, wall_time=step)
    table = modelbox.metrics(modelbox.experiments(connection=box), connection=box)
    assert list(table.columns) == ["experiment_id", "key", "step", "wall_time", "value"]
    assert {column: str(dtype) for column, dtype in table.dtypes.items()} == {
        "experiment_id": "category",
        "key": "category",
        "step": "int64",
        "wall_time": "datetime64[us, UTC]",
        "value": "float64",
    }
    assert len(table) == 12
    first = table[(table.experiment_id == runs[0].id) & (table.key == "loss")]
    assert first.step.tolist() == [0, 1, 2]
    assert first.value.tolist() == [0.0, 0.1, 0.2]
    assert first.wall_time.tolist() == [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=step) for step in range(3)]


def test_points_may_be_asked_for_in_many_ways(box: ModelBox) -> None:
    run = box.start("demo")
    run.log(loss=0.5, acc=0.9)
    checkpoint = run.new_checkpoint(1)
    checkpoint.log(bleu=1.0)
    for runs in (run, run.id, [run], [run.id], {run.id}, pd.DataFrame({"experiment_id": [run.id, run.id]})):
        assert len(modelbox.metrics(runs, connection=box)) == 2
    assert modelbox.metrics(run, "loss", connection=box)["value"].tolist() == [0.5]
    assert modelbox.metrics([run, checkpoint], ["acc", "bleu"], connection=box)["key"].tolist() == ["acc", "bleu"]
    with pytest.raises(InvalidRequest, match="experiment_id"):
        modelbox.metrics(pd.DataFrame({"id": [1]}), connection=box)
    with pytest.raises(InvalidRequest, match="table of runs"):
        modelbox.metrics(3, connection=box)  # type: ignore[arg-type]


def test_wide_points_have_a_column_per_metric(box: ModelBox) -> None:
    run = box.start("demo")
    run.log(loss=0.5, acc=0.1, step=0)
    run.log(loss=0.4, step=1)
    run.log(loss=0.3, step=1)
    table = modelbox.metrics(run, wide=True, connection=box)
    assert list(table.columns) == ["experiment_id", "step", "acc", "loss"]
    assert table["loss"].tolist() == [0.5, 0.3]
    assert table["acc"].isna().tolist() == [False, True]


def test_text_and_bytes_make_an_object_column(box: ModelBox) -> None:
    run = box.start("demo")
    run.log(loss=0.5, note="x", blob=b"\0")
    table = modelbox.metrics(run, connection=box).set_index("key")["value"]
    assert table.dtype == object
    assert (table["loss"], table["note"], table["blob"]) == (0.5, "x", b"\0")


def test_thinned_points_keep_the_extremes(box: ModelBox) -> None:
    run = box.start("demo")
    for step in range(5000):
        run.log(loss=100.0 if step == 1234 else 0.0, step=step)
    table = modelbox.metrics(run, max_points=100, connection=box)
    assert len(table) <= 110
    assert table["value"].max() == 100.0


def _big_frame(runs: int = 1000, params: int = 20, metrics: int = 20) -> ExperimentFrame:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    records = [
        ExperimentRecord(
            id=f"{i:040x}",
            name=f"run {i}",
            namespace="default",
            status=Status.FINISHED,
            created_at=moment,
            updated_at=moment,
            started_at=moment,
            finished_at=moment,
        )
        for i in range(runs)
    ]
    cells = [(row, f"params.p{key}", row * key if key % 2 else row / (key + 1)) for row in range(runs) for key in range(params)]
    points = [(row, f"m{key}", row / (key + 1)) for row in range(runs) for key in range(metrics)]
    last = [value for _, _, value in points]
    return ExperimentFrame(
        experiments=records,
        metadata=MetadataColumns(row=[c[0] for c in cells], key=[c[1] for c in cells], value=[c[2] for c in cells]),
        metrics=SummaryColumns(
            row=[p[0] for p in points],
            key=[p[1] for p in points],
            count=[1] * len(points),
            last_step=[1] * len(points),
            last=last,
            min=last,
            max=last,
            mean=last,
        ),
    )


def test_a_thousand_runs_make_a_table_quickly() -> None:
    frame = _big_frame()
    frames.experiment_table(frame)
    begin = time.process_time()
    table = frames.experiment_table(frame)
    assert time.process_time() - begin < 0.5  # some 30 ms alone on a machine; bounded generously, as the machine is shared
    assert table.shape == (1000, 12 + 20 + 80)


def test_a_million_points_make_a_table_quickly(box: ModelBox) -> None:
    from array import array

    from modelbox.entities.series import SeriesBlock

    columns = array("q", range(100_000))
    blocks = [
        SeriesBlock(object_id=f"{i:040x}", key="loss", steps=columns, wall_times_us=columns, values=array("d", range(100_000)))
        for i in range(10)
    ]
    begin = time.process_time()
    assert len(frames.point_table(blocks)) == 1_000_000
    assert time.process_time() - begin < 2


def test_what_is_too_long_for_a_table_is_added_on_request(box: ModelBox) -> None:
    packages = {"numpy": "2.4", "odd": math.nan}
    box.start("a", metadata={"environment.packages": packages, "git.diff": "+x"})
    box.start("b")
    runs = modelbox.experiments(connection=box)
    assert not {"environment.packages", "git.diff"} & set(runs.columns)
    runs["note"] = "mine"
    whole = frames.with_long_metadata(runs, connection=box).set_index("name")
    assert whole.loc["a", "git.diff"] == "+x"
    assert whole.loc["a", "environment.packages"]["numpy"] == "2.4"
    assert pd.isna(whole.loc["b", "git.diff"])
    assert list(whole["note"]) == ["mine", "mine"]
    assert whole.attrs["modelbox"] == runs.attrs["modelbox"]
    assert frames.with_long_metadata(runs.assign(experiment_id="0" * 40), connection=box).columns.tolist() == runs.columns.tolist()


def test_printed_lines_are_no_columns(box: ModelBox) -> None:
    run = box.start("a")
    run.log_beside(0, {"console/stdout": "x"})
    run.log_beside(1, {"system/cpu_percent": 50.0})
    columns = modelbox.experiments(connection=box).columns
    assert not [name for name in columns if "console" in name]
    assert "metrics.system/cpu_percent.max" in columns
