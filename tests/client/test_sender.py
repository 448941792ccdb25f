"""The sender under every fault that a store can have: nothing is lost, nothing is doubled, nothing reaches training."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from modelbox.client.buffer import Record, split_blocks
from modelbox.client.connection import ModelBox
from modelbox.client.journal import MemoryJournal
from modelbox.client.sender import Pace, Sender
from modelbox.entities.series import SeriesBlock
from modelbox.errors import (
    InvalidName,
    ModelBoxError,
    RateLimited,
    ServerUnreachable,
    StorageError,
    StorageFull,
    StorageUnavailable,
    TooLarge,
    Unauthenticated,
)
from modelbox.testing import FaultyTransport, memory_connection

FAST = Pace(interval_s=0.01, first_pause_s=0.01, longest_pause_s=0.05)


@pytest.fixture
def store() -> Iterator[ModelBox]:
    with memory_connection() as box:
        yield box


@pytest.fixture
def faulty(store: ModelBox) -> FaultyTransport:
    return FaultyTransport(store.session.transport)


Connect = Callable[..., ModelBox]


@pytest.fixture
def connect(store: ModelBox, faulty: FaultyTransport) -> Iterator[Connect]:
    opened: list[Sender] = []

    def connect(**journal: int) -> ModelBox:
        sender = Sender(faulty, make_journal=lambda: MemoryJournal(**journal), pace=FAST)
        opened.append(sender)
        return ModelBox.over(faulty, store.where, sender=sender)

    yield connect
    for sender in opened:
        sender.close(0.2)


def _steps(box: ModelBox, object_id: str, key: str = "loss") -> list[int]:
    return [point.step for point in box.experiment(object_id).all_metrics().get(key, [])]


@pytest.mark.parametrize(
    "error",
    [
        ServerUnreachable("away"),
        StorageUnavailable("busy"),
        StorageFull("full"),
        RateLimited("slow down"),
        Unauthenticated("who?"),
        StorageError("odd"),
    ],
)
def test_what_may_pass_is_tried_again_until_it_does(
    store: ModelBox, faulty: FaultyTransport, connect: Connect, error: ModelBoxError
) -> None:
    run = connect().start("demo")
    faulty.next_errors.extend([error, error])
    run.log(loss=1.0)
    assert run.flush(5)
    assert _steps(store, run.id) == [0]
    assert len({(client, number) for client, number, _ in faulty.batches}) == 1


def test_points_whose_answer_was_lost_are_stored_once(store: ModelBox, faulty: FaultyTransport, connect: Connect) -> None:
    run = connect().start("demo")
    faulty.lose_answers.extend([ServerUnreachable("cut"), ServerUnreachable("cut again")])
    for step in range(100):
        run.log(loss=0.5, step=step)
    assert run.flush(5)
    assert _steps(store, run.id) == list(range(100))


def test_an_outage_never_reaches_training_and_is_told_once(
    store: ModelBox, faulty: FaultyTransport, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    run = connect().start("demo")
    faulty.away = ServerUnreachable("No server answers.")
    with caplog.at_level(logging.WARNING, "modelbox"):
        for step in range(1000):
            run.log(loss=0.5, step=step)
        report = run.flush(0.3)
    assert not report
    assert report.pending == 1000
    assert [record.getMessage() for record in caplog.records if "No server answers." in record.getMessage()] == [
        caplog.records[0].getMessage()
    ]
    faulty.away = None
    assert run.flush(5)
    assert _steps(store, run.id) == list(range(1000))


def test_the_pause_that_a_server_asks_for_is_kept(faulty: FaultyTransport, connect: Connect) -> None:
    run = connect().start("demo")
    faulty.next_errors.append(StorageUnavailable("busy", retry_after_s=0.4))
    begin = time.monotonic()
    run.log(loss=1.0)
    while len(faulty.batches) < 2:
        time.sleep(0.005)
    assert time.monotonic() - begin >= 0.4


def test_a_pause_is_not_cut_short_by_what_is_logged_in_it(faulty: FaultyTransport, store: ModelBox) -> None:
    """However fast: a server that is away is not asked once for every full batch."""
    sender = Sender(faulty, pace=Pace(interval_s=0.01, first_pause_s=60.0, longest_pause_s=60.0))
    box = ModelBox.over(faulty, store.where, sender=sender)
    run = box.start("run")
    box.flush(30)
    faulty.away = ServerUnreachable("away")
    run.log(loss=1.0)
    while not sender.is_away:
        time.sleep(0.01)
    for step in range(300):
        run.log({f"metric {number}": 1.0 for number in range(1000)}, step=step)
    assert not sender._urgent.is_set()
    faulty.away = None
    assert box.flush(30)
    sender.close(0.2)


def test_pauses_double_with_jitter_up_to_a_bound() -> None:
    pace = Pace(first_pause_s=0.5, longest_pause_s=30)
    error = ServerUnreachable("away")
    for failures, ceiling_s in ((1, 0.5), (2, 1.0), (5, 8.0), (100, 30.0)):
        assert ceiling_s / 2 <= pace.pause_s(failures, error) <= ceiling_s
    assert pace.pause_s(1, StorageUnavailable("busy", retry_after_s=1e9)) <= 300


def test_points_of_a_deleted_experiment_do_not_hold_up_the_others(
    store: ModelBox, faulty: FaultyTransport, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    box = connect()
    gone, alive = box.start("gone"), [box.start(f"alive {i}") for i in range(3)]
    store.experiment(gone.id).delete()
    with caplog.at_level(logging.WARNING, "modelbox"):
        for step in range(50):
            for run in (gone, *alive):
                run.log({"loss": 0.5, "val/loss @1": 0.7}, step=step)
        report = box.flush(5)
    assert report
    assert report.rejected == 100
    for run in alive:
        assert _steps(store, run.id) == _steps(store, run.id, "val/loss @1") == list(range(50))
    assert len([record for record in caplog.records if "refused" in record.getMessage()]) == 1
    assert len(faulty.batches) < 30


def test_a_series_that_the_store_refuses_is_given_up_alone(store: ModelBox, faulty: FaultyTransport, connect: Connect) -> None:
    def refuse(blocks: Sequence[SeriesBlock]) -> ModelBoxError | None:
        return InvalidName("no") if any(block.key == "bad" for block in blocks) else None

    faulty.refuse = refuse
    run = connect().start("demo")
    for step in range(20):
        run.log(loss=0.5, bad=1.0, accuracy=0.9, step=step)
    report = run.flush(5)
    assert report.rejected == 20
    assert _steps(store, run.id) == _steps(store, run.id, "accuracy") == list(range(20))


def test_a_batch_that_is_too_large_is_sent_in_parts(store: ModelBox, faulty: FaultyTransport, connect: Connect) -> None:
    faulty.refuse = lambda blocks: TooLarge("too large") if sum(map(len, blocks)) > 100 else None
    run = connect().start("demo")
    for step in range(1000):
        run.log(loss=0.5, note="text", step=step)
    report = run.flush(10)
    assert (report.pending, report.rejected) == (0, 0)
    assert _steps(store, run.id) == _steps(store, run.id, "note") == list(range(1000))


def test_a_store_that_keeps_failing_on_some_points_takes_the_rest(store: ModelBox, faulty: FaultyTransport, connect: Connect) -> None:
    faulty.refuse = lambda blocks: StorageError("disk on fire") if any(block.key == "bad" for block in blocks) else None
    run = connect().start("demo")
    run.log(loss=0.5, bad=1.0)
    assert run.flush(5).rejected == 1
    assert _steps(store, run.id) == [0]


def test_memory_is_bounded_and_what_is_dropped_is_counted(
    store: ModelBox, faulty: FaultyTransport, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    run = connect(max_pending_points=100).start("demo")
    faulty.away = ServerUnreachable("away")
    with caplog.at_level(logging.WARNING, "modelbox"):
        for step in range(250):
            run.log(loss=0.5, step=step)
    report = run.flush(0)
    assert (report.pending, report.dropped) == (100, 150)
    assert len([record for record in caplog.records if "dropped" in record.getMessage()]) == 1
    faulty.away = None
    assert run.flush(5)
    assert _steps(store, run.id) == list(range(100))


def test_flush_never_raises_and_says_what_is_left(faulty: FaultyTransport, connect: Connect) -> None:
    run = connect().start("demo")
    faulty.away = ServerUnreachable("away")
    run.log(loss=0.5)
    report = run.flush(0.05)
    assert not report
    assert report.pending == 1


def test_flush_of_nothing_returns_at_once(connect: Connect) -> None:
    assert connect().flush(0)


def test_a_fault_of_our_own_does_not_end_the_sender(store: ModelBox, faulty: FaultyTransport, connect: Connect) -> None:
    class Bug:
        def __call__(self, blocks: Sequence[SeriesBlock]) -> ModelBoxError | None:
            faulty.refuse = lambda blocks: None
            raise ZeroDivisionError

    faulty.refuse = Bug()
    run = connect().start("demo")
    run.log(loss=0.5)
    run.flush(5)
    run.log(loss=0.6)
    assert run.flush(5)
    assert 1 in _steps(store, run.id)


def test_64_threads_lose_nothing(store: ModelBox, connect: Connect) -> None:
    box = connect()
    run = box.start("demo")

    def work(worker: int) -> None:
        for step in range(200):
            run.log({f"worker {worker}": float(step)}, step=step)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run.flush(20)
    points = store.experiment(run.id).all_metrics()
    assert len(points) == 64
    for series in points.values():
        assert [point.step for point in series] == list(range(200))
        assert [point.value for point in series] == [float(step) for step in range(200)]


def test_threads_that_log_without_a_step_share_one_sequence(store: ModelBox, connect: Connect) -> None:
    run = connect().start("demo")
    threads = [threading.Thread(target=lambda: [run.log(loss=0.5) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.flush(10)
    assert _steps(store, run.id) == list(range(4000))


def test_what_is_logged_after_close_is_said_to_be_lost(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    box = connect()
    run = box.start("demo")
    box.session.sender.close()
    with caplog.at_level(logging.WARNING, "modelbox"):
        run.log(loss=0.5)
    assert "closed" in caplog.text


def test_a_batch_keeps_number_and_content_until_it_is_acknowledged() -> None:
    journal = MemoryJournal(max_batch_points=10)
    for step in range(25):
        journal.append(Record("a" * 40, step, step, {"loss": 0.5}))
    first = journal.next_batch()
    assert first is not None
    journal.append(Record("a" * 40, 99, 99, {"loss": 0.5}))
    assert journal.next_batch() is first
    assert first.points == 10
    journal.acknowledge(first)
    second = journal.next_batch()
    assert second is not None
    assert second.number == first.number + 1
    assert journal.tally().pending == 16


def test_halves_of_a_batch_hold_the_same_points() -> None:
    journal = MemoryJournal()
    for step in range(7):
        journal.append(Record("a" * 40, step, step, {"loss": float(step), "note": "x"}))
        journal.append(Record("b" * 40, step, step, {"loss": float(step)}))
    batch = journal.next_batch()
    assert batch is not None
    blocks, points = list(batch.blocks), 0
    while blocks:
        block = [blocks.pop()]
        halves = split_blocks(block, points=True)
        if halves is None:
            points += len(block[0])
        else:
            blocks += halves[0] + halves[1]
    assert points == 21
