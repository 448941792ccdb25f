"""Creations and notes that wait in the journal: training never hears of an outage, and the store has all of it once, in order."""

import logging
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelbox.client.connection import ModelBox
from modelbox.client.sender import Pace, Sender
from modelbox.client.spool import SpooledJournal, SpoolOptions
from modelbox.entities.records import Status
from modelbox.errors import InvalidName, InvalidRequest, NotFound, ServerUnreachable, StorageError
from modelbox.testing import FaultyTransport

KEY = "val/loss @1"
NAMESPACE = "équipe/vision"
FAST = Pace(interval_s=0.01, first_pause_s=0.01, longest_pause_s=0.05)

Connect = Callable[..., ModelBox]


@pytest.fixture
def faulty(box: ModelBox) -> FaultyTransport:
    return FaultyTransport(box.session.transport)


@pytest.fixture
def connect(box: ModelBox, faulty: FaultyTransport, tmp_path: Path) -> Iterator[Connect]:
    opened: list[Sender] = []

    def connect(**options: int) -> ModelBox:
        sender = Sender(faulty, make_journal=lambda: SpooledJournal(tmp_path / "spool", SpoolOptions(**options)), pace=FAST)  # type: ignore[arg-type]
        opened.append(sender)
        return ModelBox.over(faulty, box.where, sender=sender)

    yield connect
    for sender in opened:
        sender.close(0.2)


def _train(box: ModelBox, file: Path) -> str:
    file.write_bytes(b"weights")
    with box.start("demo", namespace=NAMESPACE, params={"lr": 0.1}, tags=["a", "b"]) as run:
        run.log({KEY: 0.5}, step=0)
        run.update_metadata("mark", 1)
        run.update_metadata("mark", 2)
        run.log_params({"depth": 3})
        run.untag("b")
        run.update(group="seeds")
        run.log_event("begun", source="trainer")
        run.new_checkpoint(1, {"loss": float("nan")}).log(inner=1.0)
        run.upload_artifact(file)
        file.write_bytes(b"changed since")
    return run._id


def test_a_whole_run_while_the_store_is_away_arrives_later(
    box: ModelBox, faulty: FaultyTransport, connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faulty.away = ServerUnreachable("No server answers.")
    away = connect()
    with caplog.at_level(logging.WARNING, "modelbox"):
        object_id = _train(away, tmp_path / "model.bin")
    assert not away.flush(0.05)
    assert len([record for record in caplog.records if "No server answers." in record.getMessage()]) == 1
    with pytest.raises(ServerUnreachable):
        away.experiments()
    faulty.away = None
    assert away.flush(10)
    run = box.experiment(object_id)
    assert (run.name, run.namespace, run.status, run.group) == ("demo", NAMESPACE, Status.FINISHED, "seeds")
    assert (run.params, run.tags, run.metadata()["mark"]) == ({"lr": 0.1, "depth": 3}, ["a"], 2)
    assert [event.name for event in run.events()] == ["begun"]
    assert len(run.all_metrics()[KEY]) == 1
    assert [list(checkpoint.all_metrics()) for checkpoint in run.checkpoints()] == [["inner"]]
    assert run.artifact("model.bin").read_bytes() == b"weights"
    assert run.record.finished_at is not None


def test_what_was_started_can_be_read_at_once(connect: Connect) -> None:
    box = connect()
    run = box.start("demo", params={"lr": 0.1})
    assert [known.name for known in box.experiments()] == ["demo"]
    run.update_metadata("mark", 1)
    assert run.metadata() == {"params.lr": 0.1, "mark": 1}
    run.log_event("begun")
    assert [event.name for event in run.events()] == ["begun"]
    assert run.owner


def test_an_id_that_is_passed_on_is_known_to_the_store(box: ModelBox, connect: Connect) -> None:
    assert box.experiment(connect().start("demo").id).name == "demo"


def test_bad_input_is_told_at_once_while_the_store_is_away(faulty: FaultyTransport, connect: Connect) -> None:
    faulty.away = ServerUnreachable("No server answers.")
    box = connect()
    with pytest.raises(InvalidName):
        box.start("two\nlines")
    with pytest.raises(InvalidName):
        box.start("demo", namespace="a//b")
    with pytest.raises(NotFound, match="40 lower-case hex"):
        box.start("demo", parent="nobody")
    run = box.start("demo")
    with pytest.raises(InvalidRequest):
        run.update_metadata("key", object())
    with pytest.raises(InvalidName):
        run.log_event("two\nlines")
    with pytest.raises(InvalidRequest, match="epoch"):
        run.new_checkpoint(-1)
    with pytest.raises(InvalidRequest):
        run.finish("no such status")


def test_a_parent_that_the_store_does_not_know_does_not_cost_the_run(
    box: ModelBox, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    run = connect().start("demo", parent="f" * 40)
    run.log({KEY: 0.5})
    assert run.flush(10)
    assert box.experiment(run.id).record.parent_id is None
    assert "without a parent" in caplog.text


def test_a_note_that_the_store_refuses_is_one_warning_and_is_kept(
    box: ModelBox, connect: Connect, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    client = connect()
    run = client.start("demo")
    assert client.flush(10)
    box.experiment(run.id).delete()
    for number in range(3):
        run.update_metadata("mark", number)
    other = client.start("other")
    assert client.flush(10)
    assert len([record for record in caplog.records if "was refused" in record.getMessage()]) == 1
    assert len(list((tmp_path / "spool" / "rejected").glob("*.json"))) == 3
    assert box.experiment(other.id).name == "other"


def test_strict_connections_raise_as_before(faulty: FaultyTransport, box: ModelBox) -> None:
    faulty.away = ServerUnreachable("No server answers.")
    with pytest.raises(ServerUnreachable):
        ModelBox.over(faulty, box.where, strict=True).start("demo")


def test_a_file_that_has_no_room_in_the_journal_is_named_where_it_lies(
    box: ModelBox, faulty: FaultyTransport, connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faulty.away = ServerUnreachable("No server answers.")
    client = connect(max_bytes=1000)
    run = client.start("demo")
    (tmp_path / "large.bin").write_bytes(b"x" * 5000)
    run.upload_artifact(tmp_path / "large.bin")
    assert "large.bin is not copied" in caplog.text
    faulty.away = None
    assert client.flush(10)
    assert box.experiment(run.id).artifact("large.bin").read_bytes() == b"x" * 5000


def test_the_local_store_is_opened_behind_the_back_of_training(tmp_path: Path) -> None:
    code = """
        import sys, modelbox
        box = modelbox.ModelBox(sys.argv[1])
        run = box.start("demo")
        run.log(loss=0.5)
        assert not {"sqlalchemy", "nanoarrow", "tornado"} & set(sys.modules), "training waited for the store"
        assert box.where.kind == "local"
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path / "runs"], check=True, timeout=60)
    with ModelBox(tmp_path / "runs") as box:
        assert [run.name for run in box.experiments()] == ["demo"]


def test_a_folder_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        ModelBox(tmp_path / "file" / "runs")
