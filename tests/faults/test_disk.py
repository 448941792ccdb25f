"""A disk that fails while training logs: no exception in user code, and the store gets every point once."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from modelbox.client.buffer import Record
from modelbox.client.catchup import send_journals
from modelbox.client.connection import ModelBox
from modelbox.client.disk_journal import DiskJournal
from modelbox.client.sender import Pace, Sender
from modelbox.client.spool import SpooledJournal, SpoolOptions
from modelbox.testing import memory_connection
from modelbox.testing.crash import KEY, Outcome, stored_steps

FAST = Pace(interval_s=0.01, first_pause_s=0.01, longest_pause_s=0.05)


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "short write"])
def test_writes_that_fail_are_invisible_to_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    outcome = Outcome(f"disk: {fault}", more={"failed_writes": 0})
    failed = 0

    def write(fd: int, data: bytes) -> int:
        """Fail for some writes in a row, again and again, as a disk does that others fill and empty."""
        nonlocal failed
        outcome.rounds += 1
        if outcome.rounds % 50 < 40:
            return os.write(fd, data)
        failed += 1
        if fault == "short write":
            return os.write(fd, data[: len(data) // 2])
        raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)))

    monkeypatch.setattr("modelbox.client.spool._RETRY_S", 0.001)
    with memory_connection() as store:
        options = SpoolOptions(write=write)
        sender = Sender(store.session.transport, make_journal=lambda: SpooledJournal(tmp_path / "spool", options), pace=FAST)
        box = ModelBox.over(store.session.transport, store.where, sender=sender)
        run = box.new_experiment("demo", namespace="équipe/vision")
        for step in range(2000):
            run.log({KEY: 0.5, "second": 1.0}, step=step)
            if step % 100 == 0:
                run.flush(0.05)
        for _ in range(50):  # what could not be numbered for want of space waits for the next occasion
            if run.flush(0.2):
                break
        outcome.count(range(2000), stored_steps(store, run.id, range(2000), timeout_s=5))
        sender.close()
    outcome.more["failed_writes"] = failed
    assert failed >= 20
    outcome.report()


def test_a_journal_cut_anywhere_in_its_last_records_delivers_the_rest(tmp_path: Path, rounds: Callable[[int, int], int]) -> None:
    outcome = Outcome("journal cut at every byte of its last records", more={"cut_records": 0})
    cut_records = 0
    with memory_connection() as box:
        run = box.new_experiment("demo", namespace="équipe/vision")
        journal = DiskJournal(tmp_path / "spool")
        ends: list[int] = []
        for step in range(20):
            journal.append(Record(run.id, step, step, {KEY: 0.5}))
            ends.append((journal.folder / "0001.log").stat().st_size)
        journal.leave()
        for cut in range(ends[-1] - rounds(3, 15) * 40, ends[-1] + 1):
            # Each cut is the journal of another client, so that the store takes it; the experiment begins anew.
            copy = tmp_path / "copies" / secrets.token_hex(20)
            shutil.copytree(journal.folder, copy)
            os.truncate(copy / "0001.log", cut)
            box.experiment(run.id).delete()
            run = box.new_experiment("demo", namespace="équipe/vision")
            assert send_journals(box.session.transport, copy)
            whole = [step for step, end in enumerate(ends) if end <= cut]
            cut_records += len(ends) - len(whole)
            outcome.rounds += 1
            outcome.count(whole, stored_steps(box, run.id, whole))
    outcome.more["cut_records"] = cut_records
    outcome.report()
