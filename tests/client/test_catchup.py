"""What one process leaves behind, the next one sends."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import modelbox
from modelbox.cli.main import main
from modelbox.client.buffer import Record
from modelbox.client.catchup import CatchUp, send_journals
from modelbox.client.connection import ModelBox
from modelbox.client.disk_journal import DiskJournal
from modelbox.client.spool import Durability, journals_in, spool_of
from modelbox.errors import InvalidRequest, ServerUnreachable
from modelbox.testing import FaultyTransport

KEY = "val/loss @1"


def _left_behind(root: Path, object_id: str, steps: range) -> Path:
    """Return the journal of a process that was killed."""
    journal = DiskJournal(root)
    for step in steps:
        journal.append(Record(object_id, step, step, {KEY: 0.5}))
    journal.leave()
    return journal.folder


def _steps(box: ModelBox, object_id: str) -> list[int]:
    return [point.step for point in box.experiment(object_id).all_metrics().get(KEY, [])]


def test_every_journal_is_sent_once(box: ModelBox, tmp_path: Path) -> None:
    run = box.start("demo", namespace="équipe/vision")
    for number in range(5):
        _left_behind(tmp_path / "spool", run.id, range(number * 100, number * 100 + 100))
    report = send_journals(box.session.transport, tmp_path / "spool")
    assert (report.journals, report.sent, report.pending, report.rejected) == (5, 500, 0, 0)
    assert report
    assert not send_journals(box.session.transport, tmp_path / "spool").journals
    assert _steps(box, run.id) == list(range(500))
    assert not (tmp_path / "spool").exists()


def test_a_batch_that_had_arrived_before_the_crash_is_stored_once(box: ModelBox, tmp_path: Path) -> None:
    run = box.start("demo")
    journal = DiskJournal(tmp_path / "spool")
    for step in range(50):
        journal.append(Record(run.id, step, step, {KEY: 0.5}))
    batch = journal.next_batch()
    assert batch is not None
    box.session.transport.append_metrics(batch.blocks, client=batch.client, batch=batch.number)
    for step in range(50, 80):
        journal.append(Record(run.id, step, step, {KEY: 0.5}))
    journal.leave()
    assert send_journals(box.session.transport, tmp_path / "spool")
    assert _steps(box, run.id) == list(range(80))


def test_a_store_that_is_away_leaves_the_journals_as_they_are(box: ModelBox, tmp_path: Path) -> None:
    run = box.start("demo")
    folder = _left_behind(tmp_path / "spool", run.id, range(10))
    faulty = FaultyTransport(box.session.transport)
    faulty.away = ServerUnreachable("away")
    report = send_journals(faulty, tmp_path / "spool", timeout_s=0.1)
    assert (report.sent, report.pending) == (0, 10)
    assert not report
    assert list(journals_in(tmp_path)) == [folder]
    faulty.away = None
    assert send_journals(faulty, folder).sent == 10


def test_points_of_a_deleted_experiment_do_not_hold_up_the_rest(box: ModelBox, tmp_path: Path) -> None:
    gone, alive = box.start("gone"), box.start("alive")
    journal = DiskJournal(tmp_path / "spool")
    for step in range(10):
        for run in (gone, alive):
            journal.append(Record(run.id, step, step, {KEY: 0.5}))
    journal.leave()
    gone.delete()
    report = send_journals(box.session.transport, tmp_path / "spool")
    assert (report.sent, report.rejected, report.pending) == (10, 10, 0)
    assert _steps(box, alive.id) == list(range(10))
    assert list((tmp_path / "spool" / "rejected").glob("*.log"))


def test_a_connection_that_closes_lets_go_of_what_it_could_not_send(box: ModelBox, tmp_path: Path) -> None:
    run = box.start("demo")
    _left_behind(tmp_path / "spool", run.id, range(10))
    faulty = FaultyTransport(box.session.transport)
    faulty.away = ServerUnreachable("away")
    catch_up = CatchUp(faulty, tmp_path / "spool")
    catch_up.start()
    catch_up.close()
    assert send_journals(box.session.transport, tmp_path / "spool").sent == 10


def test_opening_a_store_is_enough(tmp_path: Path) -> None:
    with ModelBox(tmp_path / "runs") as box, box.start("demo") as run:
        run.log({KEY: 0.5}, step=0)
    _left_behind(spool_of(box.where), run.id, range(1, 30))
    with ModelBox(tmp_path / "runs") as box:
        assert box.sync()
        assert _steps(box, run.id) == list(range(30))


def test_a_process_that_dies_at_once_after_log_loses_nothing(tmp_path: Path) -> None:
    code = """
        import os, signal, sys, modelbox
        run = modelbox.ModelBox(sys.argv[1]).start("demo")
        print(run.id, flush=True)
        for step in range(100):
            run.log({"val/loss @1": 0.5}, step=step)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path / "runs"], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with ModelBox(tmp_path / "runs") as box:
        assert box.sync()
        assert _steps(box, done.stdout.strip()) == list(range(100))


def test_the_end_of_a_process_says_that_points_are_kept_not_lost(tmp_path: Path) -> None:
    code = """
        import sys
        from modelbox.client.connection import ModelBox
        from modelbox.client.sender import Sender
        from modelbox.client.spool import SpooledJournal
        from modelbox.errors import ServerUnreachable
        from modelbox.testing import FaultyTransport, memory_connection
        from pathlib import Path
        store = memory_connection()
        faulty = FaultyTransport(store.session.transport)
        sender = Sender(faulty, make_journal=lambda: SpooledJournal(Path(sys.argv[1])))
        run = ModelBox.over(faulty, store.where, sender=sender).start("demo")
        faulty.away = ServerUnreachable("No server answers.")
        for step in range(1000): run.log({"val/loss @1": 0.5}, step=step)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path / "spool"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert (
        f"1000 points and 2 creations and notes did not reach the store before the process ended; they are kept in {tmp_path / 'spool'}"
        in done.stderr
    )
    assert "lost" not in done.stderr
    assert len(list(journals_in(tmp_path / "spool"))) == 1


def test_the_command_sends_a_copied_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ModelBox(tmp_path / "runs") as box:
        run = box.new_experiment("demo")
    _left_behind(tmp_path / "copied", run.id, range(20))
    assert main(["sync", str(tmp_path / "copied"), "--address", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out == "20 points sent from 1 journals\n"
    with ModelBox(tmp_path / "runs") as box:
        assert _steps(box, run.id) == list(range(20))


def test_the_command_names_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", str(tmp_path / "nowhere"), "--address", str(tmp_path / "runs")]) != 0
    assert "nowhere" in capsys.readouterr().err


def test_the_shared_connection_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelbox.client.shared._default", None)
    monkeypatch.setenv("MODELBOX_API_ADDR", str(tmp_path / "runs"))
    assert modelbox.sync(timeout_s=5).journals == 0


def test_a_durability_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"forever.*process, disk, memory"):
        ModelBox(tmp_path, durability="forever")  # type: ignore[arg-type]


@pytest.mark.parametrize("durability", ["process", "disk", "memory"])
def test_every_durability_delivers(tmp_path: Path, durability: Durability) -> None:
    with ModelBox(tmp_path / "runs", durability=durability) as box, box.start("demo") as run:
        for step in range(20):
            run.log({KEY: 0.5}, step=step)
        assert box.flush(10)
        assert _steps(box, run.id) == list(range(20))
    assert not list(journals_in(Path(os.environ["HOME"])))
