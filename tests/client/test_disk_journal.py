"""The journal on disk: what was returned is kept, whatever the process, the disk and the store do."""

import contextlib
import errno
import math
import os
import stat
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelbox.client.buffer import Record
from modelbox.client.disk_journal import DiskJournal
from modelbox.client.journal import Batch
from modelbox.client.segments import MAGIC, RecordEncoder, fold
from modelbox.client.spool import SpooledJournal, SpoolOptions, adopted, journals_in
from modelbox.entities.series import ValueKind
from modelbox.settings import JOURNAL_LOCK

RUN = "a" * 40
KEY = "val/loss @1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "store"


def _record(step: int, value: float = 0.5, key: str = KEY) -> Record:
    return Record(RUN, step, step * 1000, {key: value})


def _steps(batch: Batch, key: str = KEY) -> list[int]:
    return [step for block in batch.blocks if block.key == key for step in memoryview(block.steps).cast("B").cast("q").tolist()]


def _drain(journal: DiskJournal | SpooledJournal) -> list[int]:
    steps: list[int] = []
    while (batch := journal.next_batch()) is not None:
        steps += _steps(batch)
        journal.acknowledge(batch)
    return steps


def _die(journal: DiskJournal) -> Path:
    """Let go of a journal as a killed process does: locks and files close, nothing else happens."""
    journal.leave()
    return journal.folder


def test_values_come_back_bit_by_bit(root: Path) -> None:
    strange = [math.nan, struct.unpack("<d", b"\1\0\0\0\0\0\xf8\x7f")[0], math.inf, -math.inf, -0.0, 5e-324, 1e308]
    journal = DiskJournal(root)
    for step, value in enumerate(strange):
        journal.append(Record(RUN, -(2**63) + step, 2**63 - 1, {KEY: value, "note": "nul \0 é \ud800", "raw": b"\0\xff"}))
        journal.append(Record(RUN, step, 0, {KEY: value, "second": 1.0}))
    batch = journal.next_batch()
    assert batch is not None
    blocks = {(block.key, block.kind): block for block in batch.blocks}
    floats = memoryview(blocks[KEY, ValueKind.FLOAT].values).cast("B").cast("q").tolist()  # type: ignore[arg-type]
    expected = [struct.unpack("<q", struct.pack("<d", value))[0] for value in strange for _ in range(2)]
    assert floats == expected
    assert blocks["note", ValueKind.TEXT].values == ["nul \0 é \ud800"] * len(strange)
    assert blocks["raw", ValueKind.BYTES].values == [b"\0\xff"] * len(strange)
    journal.close()


def test_layouts_that_alternate_keep_their_order() -> None:
    encoder, data = RecordEncoder(), b""
    for step in range(500):
        for keys in (("a",), ("a", "b")) if step % 7 else (("a", "b", "c"),):
            frame, explained = encoder.encode(Record(RUN, step, step, dict.fromkeys(keys, float(step))))
            data += frame
            if explained is not None:
                encoder.confirm(explained)
    folded = fold(data, {}, verify=True)
    assert (folded.used_bytes, folded.damaged) == (len(data), False)
    steps = {block.key: memoryview(block.steps).cast("B").cast("q").tolist() for block in folded.blocks}
    assert steps["b"] == list(range(500))
    assert steps["c"] == list(range(0, 500, 7))
    assert steps["a"] == sorted(steps["a"])


def test_a_batch_keeps_number_and_content_over_a_crash(root: Path) -> None:
    """What was sent before the crash may have arrived: sending other content under its number would store points twice or not at all."""
    journal = DiskJournal(root, batch_bytes=400)
    for step in range(100):
        journal.append(_record(step))
    sent = [journal.next_batch()]
    assert sent[0] is not None
    journal.acknowledge(sent[0])
    unheard = journal.next_batch()
    assert unheard is not None
    again = DiskJournal.adopt(_die(journal), batch_bytes=1000)
    assert again is not None
    assert again.client == journal.client
    first = again.next_batch()
    assert first is not None
    assert (first.number, _steps(first)) == (unheard.number, _steps(unheard))
    steps = _steps(sent[0]) + _drain(again)
    assert steps == list(range(100))
    again.close()
    assert not root.exists()


def test_a_journal_is_only_taken_over_when_its_owner_is_gone(root: Path) -> None:
    journal = DiskJournal(root)
    journal.append(_record(0))
    assert DiskJournal.adopt(journal.folder) is None
    _die(journal)
    heirs = [DiskJournal.adopt(journal.folder) for _ in range(2)]
    assert [heir is None for heir in heirs] == [False, True]


def test_a_division_survives_a_crash(root: Path) -> None:
    journal = DiskJournal(root)
    for step in range(9):
        journal.append(_record(step))
    whole = journal.next_batch()
    assert whole is not None
    assert journal.divide(whole, points=True)
    half = journal.next_batch()
    assert half is not None
    journal.acknowledge(half)
    heir = DiskJournal.adopt(_die(journal))
    assert heir is not None
    rest = heir.next_batch()
    assert rest is not None
    assert rest.number not in {whole.number, half.number}
    assert _steps(half) + _steps(rest) == list(range(9))
    heir.close()


def test_segments_go_when_they_are_acknowledged_and_numbers_never_return(root: Path) -> None:
    journal = DiskJournal(root, segment_bytes=1000, batch_bytes=500)
    numbers: list[int] = []
    for step in range(300):
        journal.append(_record(step))
        if step % 50 == 49:
            while (batch := journal.next_batch()) is not None:
                numbers.append(batch.number)
                journal.acknowledge(batch)
    assert len(numbers) == len(set(numbers)) > 6
    assert len(list(journal.folder.glob("*.log"))) == 1
    journal.close()
    assert not root.exists()


def test_files_belong_to_this_user_alone(root: Path) -> None:
    journal = DiskJournal(root)
    journal.append(_record(0))
    journal.next_batch()
    assert stat.S_IMODE(root.stat().st_mode) == stat.S_IMODE(journal.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in journal.folder.iterdir()} == {0o600}
    journal.close()


def test_the_bound_drops_and_counts(root: Path) -> None:
    journal = DiskJournal(root, max_bytes=5000)
    kept = [journal.append(_record(step)) for step in range(500)]
    assert kept == sorted(kept, reverse=True)
    tally = journal.tally()
    assert (tally.appended, tally.dropped) == (sum(kept), 500 - sum(kept))
    assert 50 < tally.appended < 200
    assert _drain(journal) == list(range(tally.appended))
    journal.close()


def test_what_the_store_refuses_is_kept_beside_the_journals(root: Path) -> None:
    journal = DiskJournal(root)
    journal.append(Record(RUN, 3, 4, {KEY: math.inf, "note": "x"}))
    batch = journal.next_batch()
    assert batch is not None
    journal.reject(batch, "Experiment gone is not there.")
    assert journal.tally().rejected == 2
    journal.close()
    folder = root / "rejected"
    assert [path.read_text() for path in folder.glob("*.txt")] == ["Experiment gone is not there.\n"]
    (log,) = folder.glob("*.log")
    folded = fold(log.read_bytes()[len(MAGIC) :], {}, verify=True)
    assert (folded.points, folded.damaged) == (2, False)
    assert list(journals_in(root)) == []


def test_a_full_disk_moves_points_to_memory_and_back(root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    full = False

    def write(fd: int, data: bytes) -> int:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(fd, data)

    monkeypatch.setattr("modelbox.client.spool._RETRY_S", 0.0)
    journal = SpooledJournal(root, SpoolOptions(write=write))
    for step in range(300):
        full = 100 <= step < 200
        assert journal.append(_record(step))
    tally = journal.tally()
    assert tally.appended == 300
    assert 0 < tally.volatile <= 100
    assert sorted(_drain(journal)) == list(range(300))
    assert len([record for record in caplog.records if "No space left" in record.getMessage()]) == 1
    journal.close()


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "short"])
def test_faults_of_the_disk_neither_lose_nor_double_nor_raise(root: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third write fails, some after half of it: of records, and of what says which records are a batch."""
    calls = 0

    def write(fd: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls % 3:
            return os.write(fd, data)
        if fault == "short":
            return os.write(fd, data[: len(data) // 2])
        raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)))

    monkeypatch.setattr("modelbox.client.spool._RETRY_S", 0.0)
    journal = SpooledJournal(root, SpoolOptions(write=write))
    steps: list[int] = []
    for step in range(600):
        assert journal.append(_record(step, key=KEY))
        if step % 97 == 0:
            steps += _drain(journal)
    for _ in range(10):  # what could not be numbered is tried again
        steps += _drain(journal)
    assert sorted(steps) == list(range(600))
    journal.close()


def test_a_folder_that_cannot_be_made_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    journal = SpooledJournal(tmp_path / "file" / "store")
    assert all(journal.append(_record(step)) for step in range(5))
    assert _drain(journal) == list(range(5))
    assert len(caplog.records) == 1
    assert "wait in memory" in caplog.text


def test_a_journal_cut_at_any_byte_gives_every_record_before_the_cut(root: Path) -> None:
    journal = DiskJournal(root)
    ends = []
    for step in range(20):
        journal.append(_record(step))
        ends.append((journal.folder / "0001.log").stat().st_size)
    path = journal.folder / "0001.log"
    whole = path.read_bytes()
    _die(journal)
    for cut in range(len(whole) - 130, len(whole)):
        path.write_bytes(whole[:cut])
        heir = DiskJournal.adopt(journal.folder)
        assert heir is not None
        assert _drain(heir) == [step for step, end in enumerate(ends) if end <= cut]
        heir.leave()


def test_a_flipped_bit_costs_nothing_before_it_and_the_rest_is_kept(root: Path) -> None:
    journal = DiskJournal(root)
    for step in range(20):
        journal.append(_record(step))
    path = journal.folder / "0001.log"
    whole = path.read_bytes()
    _die(journal)
    for place in range(len(whole) - 120, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        heir = DiskJournal.adopt(journal.folder)
        assert heir is not None
        steps = _drain(heir)
        assert steps == list(range(len(steps)))
        assert len(steps) >= 16
        heir.leave()
    assert list((root / "rejected").glob("*.bin"))


def test_ledgers_cut_at_any_byte_send_again_what_they_forgot(root: Path) -> None:
    """Under the same number, so that the store takes it once."""
    journal = DiskJournal(root, batch_bytes=300)
    sent: dict[int, list[int]] = {}
    for step in range(40):
        journal.append(_record(step))
        if step % 10 == 9:
            while (batch := journal.next_batch()) is not None:
                sent[batch.number] = _steps(batch)
                journal.acknowledge(batch)
    ledger, path = journal.folder / "0001.batches", journal.folder / "0001.log"
    whole, records = ledger.read_bytes(), path.read_bytes()
    _die(journal)
    for cut in range(len(whole) - 100, len(whole), 3):
        ledger.write_bytes(whole[:cut])
        path.write_bytes(records)
        heir = DiskJournal.adopt(journal.folder, batch_bytes=300)
        assert heir is not None
        while (batch := heir.next_batch()) is not None:
            assert sent[batch.number] == _steps(batch)
            heir.acknowledge(batch)
        heir.leave()


def test_an_interrupt_inside_the_write_leaves_the_record_whole_or_absent(root: Path) -> None:
    interrupt: Callable[[], None] = lambda: None  # noqa: E731

    def write(fd: int, data: bytes) -> int:
        written = os.write(fd, data)
        interrupt()
        return written

    def ctrl_c() -> None:
        raise KeyboardInterrupt

    journal = DiskJournal(root, write=write)
    for step in range(50):
        interrupt = ctrl_c if step % 5 == 4 else lambda: None
        if step % 5 == 4:
            with pytest.raises(KeyboardInterrupt):
                journal.append(_record(step))
        else:
            journal.append(_record(step))
    interrupt = lambda: None  # noqa: E731
    assert journal.tally().appended == 50
    assert _drain(journal) == list(range(50))
    journal.close()


def test_threads_share_one_journal_from_the_first_record_on(root: Path) -> None:
    journal = SpooledJournal(root)
    start = threading.Barrier(16)

    def work(number: int) -> None:
        start.wait()
        for step in range(200):
            journal.append(_record(step, key=f"worker {number}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(journals_in(root))) == 1
    batch = journal.next_batch()
    assert batch is not None
    assert batch.points == 3200
    for number in range(16):
        assert _steps(batch, f"worker {number}") == list(range(200))
    journal.close()


def test_an_empty_journal_that_was_left_is_cleared_away(root: Path) -> None:
    journal = DiskJournal(root)
    journal.append(_record(0))
    _drain(journal)
    folder = _die(journal)
    assert (folder / JOURNAL_LOCK).exists()
    assert adopted(folder) is None
    assert not root.exists()


def test_a_record_larger_than_a_batch_goes_alone(root: Path) -> None:
    journal = DiskJournal(root, batch_bytes=1000, segment_bytes=100_000)
    journal.append(Record(RUN, 0, 0, {KEY: 0.5, "note": "x" * 50_000}))
    journal.append(_record(1))
    assert _drain(journal) == [0, 1]
    journal.close()


def test_a_folder_that_others_remove_when_it_is_empty_is_made_again(root: Path) -> None:
    """Whoever sends the last journal of a store removes the folder above, while the next process may be about to begin one in it."""
    stop = threading.Event()

    def remove() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                root.rmdir()
            # Without a pause this thread gets its turn at the interpreter before every second step of the other, as no process would.
            time.sleep(0.0002)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for step in range(200):
            journal = DiskJournal(root)
            assert journal.append(_record(step))
            assert _drain(journal) == [step]
            journal.close()
    finally:
        stop.set()
        remover.join()
