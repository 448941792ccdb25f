"""Tables of models, versions, checkpoints, artifacts, events and changes: their columns, order and types."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import modelbox
from modelbox.client.connection import ModelBox
from modelbox.errors import InvalidRequest
from modelbox.wire.views import VIEWS

TIME = "datetime64[us, UTC]"
TABLES: dict[str, tuple[Callable[..., pd.DataFrame], dict[str, str]]] = {
    "models": (modelbox.models, {"created_at": TIME, "updated_at": TIME}),
    "model_versions": (modelbox.model_versions, {"tags": "object", "created_at": TIME, "updated_at": TIME}),
    "checkpoints": (modelbox.checkpoints, {"epoch": "int64", "metrics": "object", "created_at": TIME, "updated_at": TIME}),
    "artifacts": (modelbox.artifacts, {"size_bytes": "Int64", "created_at": TIME, "updated_at": TIME}),
    "events": (modelbox.events, {"wall_time": TIME, "metadata": "object", "created_at": TIME}),
    "changes": (modelbox.audit, {"seq": "int64", "at": TIME, "payload": "object"}),
}


@pytest.fixture
def filled(box: ModelBox, tmp_path: Path) -> ModelBox:
    model = box.new_model("reader", namespace="équipe/vision")
    for number in range(3):
        run = box.start(f"run {number}")
        run.log_event("epoch", source="trainer", wall_time=10 - number, metadata={"=cmd": [math.nan, {"a": 1}], "</script>": number})
        run.new_checkpoint(epoch=7 - number, metrics={"loss": math.inf})
        model.new_model_version(str(number), unique_tags=[f"tag {number}"])
    file = tmp_path / "weights.bin"
    file.write_bytes(b"123")
    box.experiments()[0].upload_artifact(file, name="b/weights.bin")
    model.track_artifacts([file])
    return box


@pytest.mark.parametrize("view", TABLES)
def test_columns_and_types_are_those_of_the_view_even_without_rows(filled: ModelBox, box: ModelBox, view: str) -> None:
    table, types = TABLES[view]
    full, empty = table(connection=filled), table(namespace="nowhere", connection=box) if view in {"models", "changes"} else table([])
    for found in (full, empty):
        assert {column: str(dtype) for column, dtype in found.dtypes.items()} == {
            column: types.get(column, "str") for column in VIEWS[view].columns
        }
    assert len(full) > 0
    assert len(empty) == 0


def test_rows_are_in_order_and_hold_what_was_logged(filled: ModelBox) -> None:
    events = modelbox.events(connection=filled)
    assert events["wall_time"].tolist() == [datetime.fromtimestamp(second, UTC) for second in (8, 9, 10)]
    assert events["metadata"][0]["</script>"] == 2
    assert math.isnan(events["metadata"][0]["=cmd"][0])
    checkpoints = modelbox.checkpoints(connection=filled)
    assert sorted(checkpoints["epoch"]) == [5, 6, 7]
    assert checkpoints["metrics"][0] == {"loss": math.inf}
    versions = modelbox.model_versions(connection=filled)
    assert versions["version"].tolist() == ["2", "1", "0"]
    assert versions["tags"].tolist() == [["tag 2"], ["tag 1"], ["tag 0"]]
    artifacts = modelbox.artifacts(connection=filled).set_index("storage")
    assert artifacts.loc["uploaded", "size_bytes"] == 3
    assert artifacts.loc["uploaded", "name"] == "b/weights.bin"
    assert artifacts["object_id"].nunique() == 2


def test_tables_objects_and_ids_say_of_what(filled: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelbox.frames.objects._IDS_PER_REQUEST", 2)
    runs = modelbox.experiments(connection=filled)
    newest = filled.experiments()[0]
    assert len(modelbox.events(runs, connection=filled)) == 3
    assert len(modelbox.events(newest, connection=filled)) == len(modelbox.events([newest.id], connection=filled)) == 1
    assert len(modelbox.checkpoints(runs[runs["name"] != "run 0"], connection=filled)) == 2
    models = modelbox.models(connection=filled)
    assert len(modelbox.model_versions(models, connection=filled)) == 3
    assert modelbox.artifacts(models, connection=filled)["storage"].tolist() == ["tracked"]
    assert len(modelbox.artifacts(modelbox.model_versions(models, connection=filled), connection=filled)) == 0
    with pytest.raises(InvalidRequest, match="no column 'model_id': take one from modelbox"):
        modelbox.model_versions(runs, connection=filled)
    with pytest.raises(InvalidRequest, match="neither objects nor ids"):
        modelbox.events(3, connection=filled)  # type: ignore[arg-type]


def test_many_pages_are_one_table(filled: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelbox.client.session.MAX_PAGE", 1)
    assert len(modelbox.events(connection=filled)) == 3
    assert len(modelbox.model_versions(connection=filled)) == 3


def test_the_audit_log_says_who_did_what_when(filled: ModelBox) -> None:
    log = modelbox.audit(connection=filled)
    assert log["seq"].is_monotonic_increasing
    assert {"created", "uploaded"} <= set(log["kind"])
    assert set(log["face"]) == {"embedded"}
    assert log["actor"].str.len().min() > 0
    newest = filled.experiments()[0]
    mine = modelbox.audit(newest, connection=filled)
    assert mine["kind"].tolist()[0] == "created"
    assert set(mine["object_id"]) | set(mine["parent_id"].dropna()) >= {newest.id}
    last = int(log["seq"].iloc[-1])
    assert modelbox.audit(after=last, connection=filled).empty
    assert len(modelbox.audit(limit=2, connection=filled)) == 2
    assert set(modelbox.audit(namespace="équipe", connection=filled)["namespace"]) == {"équipe/vision"}
    newest.delete()
    assert modelbox.audit(newest.id, connection=filled)["kind"].tolist()[-1] == "destroyed"
