"""Connections that write journals only, and what becomes of those later, in whatever copy."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import modelbox
from modelbox.cli.main import main
from modelbox.client.buffer import Record
from modelbox.client.catchup import send_journals
from modelbox.client.connection import ModelBox
from modelbox.client.disk_journal import DiskJournal
from modelbox.client.spool import journals_in
from modelbox.entities.records import Status
from modelbox.errors import ConfigError, ServerUnreachable

KEY = "val/loss @1"
NAMESPACE = "équipe/vision"


def _write_run(folder: Path, tmp_path: Path) -> str:
    """Do all that a training does, offline, and return the id of the experiment."""
    (tmp_path / "model.bin").write_bytes(b"weights" * 1000)
    with ModelBox(folder, mode="offline") as box, box.start("demo", namespace=NAMESPACE, params={"lr": 0.1}, tags=["a"]) as run:
        for step in range(50):
            run.log({KEY: step / 7}, step=step)
        run.update_metadata({"dataset/size": 50_000})
        run.log_event("epoch ended", source="trainer", metadata={"epoch": 1})
        run.new_checkpoint(1, {"loss": 0.5}).update_metadata("kept", value=True)
        artifact = run.upload_artifact(tmp_path / "model.bin")
        assert artifact.name == "model.bin"
        run.track_artifacts(["s3://bucket/data.csv"])
        run.untag("a")
    (tmp_path / "model.bin").unlink()  # the journal has a copy
    return run.id


def _check_run(store: Path, object_id: str) -> None:
    with ModelBox(store) as box:
        (run,) = box.experiments()
        assert (run.id, run.name, run.namespace, run.status) == (object_id, "demo", NAMESPACE, Status.FINISHED)
        assert (run.params, run.tags) == ({"lr": 0.1}, [])
        assert run.metadata()["dataset/size"] == 50_000
        assert [point.step for point in run.all_metrics()[KEY]] == list(range(50))
        assert [(event.name, event.source) for event in run.events()] == [("epoch ended", "trainer")]
        (checkpoint,) = run.checkpoints()
        assert (checkpoint.epoch, checkpoint.metrics, checkpoint.metadata()) == (1, {"loss": 0.5}, {"kept": True})
        assert sorted(artifact.name for artifact in run.artifacts) == ["data.csv", "model.bin"]
        assert run.artifact("model.bin").read_bytes() == b"weights" * 1000


def test_a_run_that_was_offline_arrives_as_a_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    object_id = _write_run(tmp_path / "offline", tmp_path)
    copy = shutil.copytree(tmp_path / "offline", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "offline")
    assert main(["sync", str(copy), "--to", str(tmp_path / "store")]) == 0
    assert "50 points and" in capsys.readouterr().out
    _check_run(tmp_path / "store", object_id)
    assert not copy.exists()


def test_a_folder_that_is_copied_and_sent_again_changes_nothing(tmp_path: Path) -> None:
    object_id = _write_run(tmp_path / "offline", tmp_path)
    copies = [shutil.copytree(tmp_path / "offline", tmp_path / f"copy {number}") for number in range(3)]
    for copy in copies:
        assert main(["sync", str(copy), "--to", str(tmp_path / "store")]) == 0
        _check_run(tmp_path / "store", object_id)


def test_notes_of_an_old_copy_do_not_undo_what_was_done_since(tmp_path: Path) -> None:
    object_id = _write_run(tmp_path / "offline", tmp_path)
    copy = shutil.copytree(tmp_path / "offline", tmp_path / "copy")
    assert main(["sync", str(tmp_path / "offline"), "--to", str(tmp_path / "store")]) == 0
    with ModelBox(tmp_path / "store") as box:
        run = box.experiment(object_id)
        run.update_metadata("dataset/size", 60_000)
        run.finish("failed")
        changes = len(box.changes(limit=1000))
    assert main(["sync", str(copy), "--to", str(tmp_path / "store")]) == 0
    with ModelBox(tmp_path / "store") as box:
        run = box.experiment(object_id)
        assert run.metadata()["dataset/size"] == 60_000
        assert run.status is Status.FAILED
        assert len(box.changes(limit=1000)) == changes


def test_processes_that_continue_one_experiment_are_merged(tmp_path: Path) -> None:
    folder = tmp_path / "offline"
    with ModelBox(folder, mode="offline") as box:
        run = box.start("demo")
        run.log({KEY: 0.5}, step=0)
    for part in range(1, 4):
        with ModelBox(folder, mode="offline") as box:
            again = box.experiment(run.id)
            again.log({KEY: 0.5}, step=part)
            again.update_metadata(f"part {part}", part)
    assert len(list(journals_in(folder))) == 4
    assert main(["sync", str(folder), "--to", str(tmp_path / "store")]) == 0
    with ModelBox(tmp_path / "store") as box:
        (known,) = box.experiments()
        assert known.id == run.id
        assert [point.step for point in known.all_metrics()[KEY]] == [0, 1, 2, 3]
        assert len(known.metadata()) == 3


def test_nothing_is_asked_and_reading_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOX_MODE", "offline")
    monkeypatch.setenv("MODELBOX_API_ADDR", "no-such-host.invalid:80")
    monkeypatch.setattr("modelbox.client.shared._default", None)
    with modelbox.start("demo") as run:
        modelbox.log(loss=0.5)
    where = modelbox.where()
    assert (where.kind, Path(where.address)) == ("offline", Path(os.environ["HOME"]) / ".local/state/modelbox/offline")
    assert not run.flush()
    with pytest.raises(ServerUnreachable, match=r"offline.*modelbox sync"):
        modelbox.experiments()


def test_a_mode_that_there_is_not_and_a_server_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ofline.*online, offline"):
        ModelBox(tmp_path, mode="ofline")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"host:8085.*folder"):
        ModelBox("host:8085", mode="offline")


def test_the_end_of_an_offline_process_says_how_to_go_on(tmp_path: Path) -> None:
    code = """
        import sys, modelbox
        with modelbox.ModelBox(sys.argv[1], mode="offline").start("demo") as run:
            run.log(loss=0.5)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path / "runs"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert f"its 1 points wait in {tmp_path / 'runs'}" in done.stderr
    assert "modelbox sync" in done.stderr


def test_copies_with_other_batches_store_every_point_once(box: ModelBox, tmp_path: Path) -> None:
    """Each copy is made later than the one before, and sent in another order, in batches of another size."""
    run = box.start("demo")
    journal = DiskJournal(tmp_path / "spool", sends=False)
    copies: list[Path] = []
    for step in range(400):
        journal.append(Record(run.id, step, step, {KEY: step / 3} if step % 50 else {KEY: 0.5, "note": "x"}))
        if step % 37 == 0:
            copies.append(shutil.copytree(journal.folder, tmp_path / str(step) / journal.client))
    journal.leave()
    copies.append(shutil.copytree(journal.folder, tmp_path / "last" / journal.client))
    for number, copy in enumerate([*copies[1::2], *copies[::2], journal.folder]):
        assert send_journals(box.session.transport, copy), number
    assert [point.step for point in box.experiment(run.id).all_metrics()[KEY]] == list(range(400))
    assert [point.step for point in box.experiment(run.id).all_metrics()["note"]] == list(range(0, 400, 50))


def test_a_live_journal_is_sent_as_far_as_it_goes(box: ModelBox, tmp_path: Path) -> None:
    run = box.start("demo")
    journal = DiskJournal(tmp_path / "spool", segment_bytes=2000, sends=False)
    sent = 0
    for step in range(300):
        journal.append(Record(run.id, step, step, {KEY: step / 3}))
        if step % 60 == 59:
            sent += send_journals(box.session.transport, tmp_path / "spool").sent
            assert sent == step + 1
    assert journal.folder.exists()
    assert len(list(journal.folder.glob("*.log"))) == 1
    journal.leave()
    assert not send_journals(box.session.transport, tmp_path / "spool").sent
    assert not journal.folder.exists()
    assert [point.step for point in box.experiment(run.id).all_metrics()[KEY]] == list(range(300))
