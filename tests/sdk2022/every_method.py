"""Every method of the SDK of 2022 that works at all, called as it is on the package index: prints what each returned as one JSON document.

What is left out raises inside the SDK whatever a server answers: ``ModelBox()`` without an address, ``Model.model_versions``, values of
metrics that are no floats, and tracking or uploading more than one file at once. Runs in an environment of its own, as ``tutorial.py``.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from modelbox.modelbox import Artifact, Event, EventSource, MLFramework, ModelBox

from modelbox.client import MetricValue as ClientMetricValue
from modelbox.client import ModelBoxClient, file_checksum

seen: dict[str, Any] = {}


def kinds(value: Any, *fields: str) -> list[str]:
    return [type(value).__name__, *(type(getattr(value, field)).__name__ for field in fields)]


def objects(box: ModelBox) -> tuple[Any, Any, Any, Any]:
    experiment = box.new_experiment("every method", "o@x.org", "sdk/2022", "job 7", MLFramework.TENSORFLOW)
    seen["new_experiment"] = kinds(experiment, "id", "created_at", "updated_at")
    fetched = box.experiment(experiment.id)
    seen["experiment"] = [
        fetched.name,
        fetched.owner,
        fetched.namespace,
        fetched.external_id,
        fetched.framework.name,
        fetched.created_at > 0,
    ]
    listed = box.experiments("sdk/2022")
    seen["experiments"] = [type(listed).__name__, [[one.id == experiment.id, one.framework.name] for one in listed.experiments]]
    seen["parent and children"] = [experiment.parent(), experiment.children()]
    checkpoint = experiment.new_checkpoint(7, {"loss": 0.25})
    seen["new_checkpoint"] = [*kinds(checkpoint, "id"), checkpoint.epoch]
    seen["checkpoints"] = [[one.id == checkpoint.id, one.epoch, one.experiment_id == experiment.id] for one in experiment.checkpoints()]
    model = box.new_model("every method", "o@x.org", "sdk/2022", "asr", "speech", metadata={"k": 1})
    seen["new_model"] = [*kinds(model, "id"), model.id != experiment.id, model.task]
    seen["model"] = box.model(model.id)
    version = model.new_model_version("1.0.0-rc.1", "july", "first", [], {}, ["prod", "β"], MLFramework.PYTORCH)
    seen["new_model_version"] = [*kinds(version, "id"), version.version, version.unique_tags]
    return experiment, checkpoint, model, version


def mixins(name: str, thing: Any, folder: Path) -> None:
    """Call everything that experiments, checkpoints, models and versions have in common."""
    of = seen[name] = {}
    of["update_metadata"] = kinds(thing.update_metadata("a/b", {"n": 12, "x": [1.5, None, True, "é"]}), "updated_at")
    thing.update_metadata("plain", 12)
    of["metadata"] = thing.metadata().metadata
    of["log_metrics"] = kinds(thing.log_metrics({"loss": 0.5, "acc": 1.0}, step=3, wallclock=100), "updated_at")
    thing.log_metrics({"loss": 0.25}, step=1, wallclock=200)
    found = thing.all_metrics()
    of["all_metrics"] = {key: [[one.step, one.wallclock_time, one.value] for one in values] for key, values in sorted(found.items())}
    for number in range(2):
        logged = thing.log_event(Event("epoch", EventSource("trainer"), 1, {"number": number}))
        of["log_event"] = [type(logged).__name__, logged.created_at > 1_700_000_000]
    of["events"] = [[*kinds(one, "wallclock_time"), one.name, one.source.name, one.metadata] for one in thing.events()]
    path = folder / f"{name}.txt"
    path.write_bytes(b"\0" * 100_000)
    of["track_artifacts"] = thing.track_artifacts([str(path)]).num_artifacts_tracked
    blob = folder / f"{name}.bin"
    blob.write_bytes(bytes(range(256)) * 20 + name.encode())
    (artifact_id,) = thing.upload_artifact([str(blob)]).artifact_ids.values()
    again = folder / "again.bin"
    downloaded = thing.download_artifact(artifact_id, str(again))
    of["download_artifact"] = [again.read_bytes() == blob.read_bytes(), downloaded.checksum == file_checksum(str(blob))]
    of["upload_artifact again"] = list(thing.upload_artifact([str(blob)]).artifact_ids.values()) == [artifact_id]
    again.unlink()
    thing.download_artifact(artifact_id, str(again))
    of["download after the second upload"] = again.read_bytes() == blob.read_bytes()
    listed = sorted(thing.artifacts, key=lambda one: one.path)
    of["artifacts"] = [
        [Path(one.path).name, one.parent == thing.id, one.mime_type.name, one.checksum == file_checksum(str(folder / Path(one.path).name))]
        for one in listed
    ]
    of["tracked id"] = next(one.id for one in listed if one.path == str(path))


def client(address: str, box: ModelBox) -> None:
    """Call the thin client where it can do more than what stands over it."""
    with ModelBoxClient(address) as raw:
        made = raw.create_experiment("raw", "o", "sdk/raw", "", 1)
        seen["experiment_exists"] = [made.experiment_exists, raw.create_experiment("raw", "o", "sdk/raw", "", 1).experiment_exists]
        seen["get_experiment"] = raw.get_experiment(made.experiment_id).experiment.name
        seen["list_experiments"] = [one.id == made.experiment_id for one in raw.list_experiments("sdk/raw").experiments]
        raw.create_checkpoint(made.experiment_id, 3, [], {"loss": 0.5, "acc": 0.75})
        raw.create_checkpoint(made.experiment_id, 1, [], {})
        seen["list_checkpoints"] = [[one.epoch, dict(one.metrics)] for one in raw.list_checkpoints(made.experiment_id).checkpoints]
        model = raw.create_model("raw", "o", "sdk/raw", "t", "d", {}).id
        version = raw.create_model_version(model, "1", "n", "d", [], 1, ["only"]).model_version
        listed = raw.list_model_versions(model).models
        seen["list_model_versions"] = [listed.id == version, listed.version, listed.name, list(listed.unique_tags), listed.framework]
        seen["list_models"] = [[one.id == model, one.task, one.created_at.seconds > 0] for one in raw.list_models("sdk/raw").models]
        seen["raw update_metadata"] = raw.update_metadata(model, "k", [1, {"x": None}]).num_keys_written
        seen["list_metadata"] = raw.list_metadata(model)
        raw.log_metrics(model, "one", ClientMetricValue(1, 2, 0.5))
        seen["get_all_metrics"] = [[one.step, one.wallclock_time, one.value] for one in raw.get_all_metrics(model)["one"]]
        with tempfile.TemporaryDirectory() as name:
            picture = Path(name) / "p.png"
            picture.write_bytes(b"\x89PNG")
            uploaded = raw.upload_artifact(model, str(picture), "", 4).id
            file = Artifact(parent=model, path=str(picture)).to_proto()
            file.file_type = 3
            seen["raw track_artifacts"] = raw.track_artifacts([file]).num_artifacts_tracked
            seen["list_artifacts"] = sorted([one.file_type, Path(one.path).name] for one in raw.list_artifacts(model).files)
            seen["files of list_models"] = sorted(one.file_type for one in raw.list_models("sdk/raw").models[0].files)
            seen["models"] = sorted(one.mime_type.name for one in box.models("sdk/raw").models[0]._artifacts)
            seen["raw download_artifact"] = raw.download_artifact(uploaded, f"{name}/again").checksum == file_checksum(str(picture))


def refusals(address: str, box: ModelBox) -> None:
    import grpc

    nowhere = "0" * 40
    raw = ModelBoxClient(address)
    with tempfile.TemporaryDirectory() as name:
        calls = {
            "experiment": lambda: box.experiment(nowhere),
            "list_checkpoints": lambda: raw.list_checkpoints(nowhere),
            "list_metadata": lambda: raw.list_metadata(nowhere),
            "get_all_metrics": lambda: raw.get_all_metrics(nowhere),
            "log_metrics": lambda: raw.log_metrics(nowhere, "k", ClientMetricValue(1, 2, 0.5)),
            "download_artifact": lambda: raw.download_artifact(nowhere, f"{name}/x"),
            "upload_artifact": lambda: raw.upload_artifact(nowhere, __file__, "", 0),
            "wrong checksum": lambda: raw.upload_artifact(
                raw.create_experiment("raw", "", "sdk/raw", "", 0).experiment_id, __file__, "0" * 32, 0
            ),
        }
        seen["refusals"] = {}
        for what, call in calls.items():
            try:
                call()
            except grpc.RpcError as error:
                seen["refusals"][what] = error.code().name
    raw.close()


def main() -> None:
    box = ModelBox(sys.argv[1])
    experiment, checkpoint, model, version = objects(box)
    with tempfile.TemporaryDirectory() as name:
        for what, thing in {"experiment_": experiment, "checkpoint_": checkpoint, "model_": model, "version_": version}.items():
            mixins(what, thing, Path(name))
    client(sys.argv[1], box)
    refusals(sys.argv[1], box)
    json.dump(seen, sys.stdout, default=str)


main()
