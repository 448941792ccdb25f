"""What every metadata store promises about blocks: the part of the conformance suite about atomicity and concurrency."""

# ruff: noqa: D102 - the name of a test is its sentence

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from modelbox.entities.records import (
    ChangeEvent,
    ExperimentRecord,
    MetadataEntry,
    ModelRecord,
)
from modelbox.errors import Conflict, InvalidRequest, StorageError, StorageUnavailable
from modelbox_server.storage.interfaces import Condition, MetadataStore
from modelbox_server.testing.metadata_samples import change, entry, experiment, model
from modelbox_server.testing.samples import NAMESPACE

__all__ = ["MetadataTransactions"]


class MetadataTransactions:
    """All or nothing, one view, no update lost."""

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_an_exception_leaves_nothing(self, store: MetadataStore, error: type[BaseException]) -> None:
        kept, doomed = experiment("kept"), experiment("doomed")
        with store.write() as tx:
            tx.put([kept, doomed])
            tx.put([entry("o", "k", "old")])

        def change_much_and_fail() -> None:
            with store.write() as tx:
                second = experiment("second")
                tx.insert(experiment("new"))
                tx.put([msgspec.structs.replace(kept, name="changed"), second])
                tx.put([entry("o", "k", "new"), entry("o", "l", "new")])
                tx.delete(ExperimentRecord, [Condition("id", "in", [doomed.id, second.id])])
                tx.insert(model())
                raise error

        with pytest.raises(error):
            change_much_and_fail()
        with store.write() as tx:
            assert sorted(record.name for record in tx.select(ExperimentRecord)) == ["doomed", "kept"]
            assert [row.value for row in tx.select(MetadataEntry)] == ["old"]
            assert tx.select(ExperimentRecord, [Condition("name", "eq", "changed")]) == []
            tx.insert(model())

    def test_reading_changes_nothing(self, store: MetadataStore) -> None:
        with store.read() as tx:
            with pytest.raises(StorageError):
                tx.insert(experiment())
            with pytest.raises(StorageError):
                tx.put([entry("o", "k")])
            with pytest.raises(StorageError):
                tx.delete(ExperimentRecord, [])
        with store.read() as tx:
            assert tx.count(ExperimentRecord) == 0

    def test_a_key_of_the_wrong_shape_is_refused(self, store: MetadataStore) -> None:
        with store.read() as tx:
            for key in [(), ("o",), ("o", "k", "x"), ("o", 7)]:
                with pytest.raises(InvalidRequest):
                    tx.get(MetadataEntry, *key)

    def test_a_writer_inside_a_writer_is_told_instead_of_waiting_for_itself(self, store: MetadataStore) -> None:
        begun_s = time.monotonic()
        with store.write() as outer:
            with pytest.raises(StorageUnavailable), store.write():
                pass
            assert time.monotonic() - begun_s < 5
            outer.insert(experiment("outer"))
            with store.read() as inner:
                inner.count(ExperimentRecord)
        with store.read() as tx:
            assert tx.count(ExperimentRecord) == 1

    def test_a_reader_sees_one_state(self, store: MetadataStore) -> None:
        """What another thread commits meanwhile shows up in the next view, whole."""
        reading, done = threading.Event(), threading.Event()

        def write() -> None:
            reading.wait(10)
            with store.write() as tx:
                tx.insert(experiment("a"))
                tx.insert(model())
            done.set()

        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(write)
            with store.read() as tx:
                before = tx.count(ExperimentRecord)
                reading.set()
                done.wait(0.3)  # a store may also let the writer wait for the reader
                assert (before, tx.count(ExperimentRecord), tx.count(ModelRecord)) == (0, 0, 0)
            writer.result()
        with store.read() as tx:
            assert (tx.count(ExperimentRecord), tx.count(ModelRecord)) == (1, 1)

    def test_threads_lose_no_update(self, store: MetadataStore) -> None:
        """Every writer sees what the one before it wrote, and readers see whole transactions only."""
        writers, rounds = 8, 12
        with store.write() as tx:
            tx.put([entry("o", "left", 0), entry("o", "right", 0)])

        def count(_: int) -> None:
            for _ in range(rounds):
                with store.write() as tx:
                    left, right = tx.select(MetadataEntry, [Condition("object_id", "eq", "o")])
                    tx.put([entry("o", "left", left.value + 1)])
                    tx.put([entry("o", "right", right.value + 1)])
                    tx.insert(change("o"))

        def watch() -> None:
            while not finished.is_set():
                with store.read() as tx:
                    left, right = tx.select(MetadataEntry, [Condition("object_id", "eq", "o")])
                    assert left.value == right.value

        finished = threading.Event()
        with ThreadPoolExecutor(writers + 2) as pool:
            watchers = [pool.submit(watch) for _ in range(2)]
            try:
                list(pool.map(count, range(writers)))
            finally:
                finished.set()
            for watcher in watchers:
                watcher.result()
        with store.read() as tx:
            assert {row.value for row in tx.select(MetadataEntry)} == {writers * rounds}
            assert len({event.seq for event in tx.select(ChangeEvent)}) == writers * rounds

    def test_threads_make_one_record_once(self, store: MetadataStore) -> None:
        """Of many who insert what must be unique one succeeds, the others are told."""

        def create(_: int) -> bool:
            try:
                with store.write() as tx:
                    tx.insert(model("contested", NAMESPACE))
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(create, range(24))) == 1
