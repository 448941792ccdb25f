"""What the tutorials of 2022 do, with the SDK of 2022 as it is on the package index: prints what it saw as one JSON document.

Runs in an environment of its own: the SDK has the same import name as ours.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from modelbox.modelbox import Event, EventSource, MLFramework, ModelBox

seen = {}
box = ModelBox(sys.argv[1])

experiment = box.new_experiment("wav2vec", "owner@email.com", "langtech", "extern123", MLFramework.PYTORCH)
seen["experiment"] = experiment.id
seen["same experiment"] = box.new_experiment("wav2vec", "owner@email.com", "langtech", "extern123", MLFramework.PYTORCH).id
seen["experiments"] = [[e.id, e.name, e.owner, e.namespace, e.external_id] for e in box.experiments("langtech").experiments]
seen["elsewhere"] = len(box.experiments("elsewhere").experiments)
fetched = box.experiment(experiment.id)
seen["fetched"] = [fetched.id, fetched.name, fetched.owner, fetched.namespace, fetched.external_id]

experiment.update_metadata("foo/bar", 12)
experiment.update_metadata("hyperparams", {"lr": 0.5, "layers": [1, 2], "name": "é"})
seen["metadata"] = dict(experiment.metadata().metadata)

checkpoint = experiment.new_checkpoint(1, {"val_accu": 98.5, "train_accu": 99.2})
seen["checkpoint"] = checkpoint.id
seen["checkpoints"] = [[c.id, c.epoch] for c in experiment.checkpoints()]

model = box.new_model("asr_en", "owner@email.com", "langtech", "asr", "ASR for english", metadata={"x": "y"})
seen["model"] = model.id
seen["models"] = [[m.id, m.name, m.task] for m in box.models("langtech").models]
version = model.new_model_version("1", "asr_en_july", "ASR for english", [], {"foo": "bar"}, ["test"], MLFramework.PYTORCH)
seen["version"] = version.id

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    path, big, again = folder / "test_artifact.txt", folder / "big.bin", folder / "again.bin"
    path.write_bytes(b"\0" * 100_000)
    big.write_bytes(os.urandom(1 << 20) * 5 + b"tail")
    seen["uploaded"] = list(version.upload_artifact([str(big)]).artifact_ids.values())
    version.download_artifact(seen["uploaded"][0], str(again))
    seen["downloaded as uploaded"] = again.read_bytes() == big.read_bytes()
    experiment.track_artifacts([str(path)])
    seen["artifacts"] = [[a.id, a.checksum, Path(a.path).name] for a in experiment.artifacts]

experiment.log_metrics({"loss": 2.4, "accu": 97.6}, step=10, wallclock=12345)
experiment.log_metrics({"loss": 2.5, "accu": 97.4}, step=20, wallclock=12346)
experiment.log_metrics({"loss": 2.6}, step=5, wallclock=12347)
seen["metrics"] = {
    key: [[value.step, value.wallclock_time, value.value] for value in values] for key, values in experiment.all_metrics().items()
}

experiment.log_event(Event(name="checkpoint_store_begin", source=EventSource(name="trainer"), wallclock_time=12000, metadata={"chk": 1}))
experiment.log_event(Event(name="checkpoint_store_finish", source=EventSource(name="trainer"), wallclock_time=12500, metadata={"chk": 1}))
version.log_event(Event(name="inference", source=EventSource(name="server"), wallclock_time=12600, metadata={}))
seen["events"] = [[event.name, event.source.name, dict(event.metadata)] for event in experiment.events()]
seen["events of the version"] = [event.name for event in version.events()]

json.dump(seen, sys.stdout, default=str)
