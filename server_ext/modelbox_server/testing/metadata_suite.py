"""What every metadata store promises, as tests: subclass :class:`MetadataStoreSuite` and provide the fixture ``store``.

::

    class TestRedisMetadata(MetadataStoreSuite):
        durable = True

        @pytest.fixture
        def store(self, tmp_path): ...

        @pytest.fixture
        def reopen(self, tmp_path): ...
"""

# ruff: noqa: D102 - the name of a test is its sentence

from collections.abc import Callable
from typing import TypeAlias

import pytest

from modelbox.entities.records import (
    ChangeEvent,
    ExperimentRecord,
)
from modelbox.errors import Conflict, StorageError
from modelbox_server.storage.interfaces import MetadataStore
from modelbox_server.storage.schema import TABLES
from modelbox_server.testing.metadata_questions import MetadataQuestions
from modelbox_server.testing.metadata_records import MetadataRecords
from modelbox_server.testing.metadata_samples import change, experiment, one_of_each
from modelbox_server.testing.metadata_transactions import MetadataTransactions

__all__ = ["MetadataStoreSuite", "Reopen"]

Reopen: TypeAlias = Callable[[], MetadataStore]
"""Opens another store over the same data; the fixture closes what it opened."""


class MetadataStoreSuite(MetadataRecords, MetadataQuestions, MetadataTransactions):
    """Every promise of :class:`~modelbox_server.storage.interfaces.MetadataStore` and of its transactions.

    Attributes
    ----------
    durable
        Whether data outlives the store; the fixture ``reopen`` is then asked for.
    """

    durable = True

    @pytest.fixture
    def reopen(self) -> Reopen:
        """Return a function that opens another store over the data of ``store``."""
        pytest.skip("This store keeps nothing beyond itself.")

    def test_the_check_passes_and_changes_nothing(self, store: MetadataStore) -> None:
        store.check()
        with store.read() as tx:
            assert all(tx.count(kind) == 0 for kind in TABLES)

    def test_a_closed_store_says_so(self, store: MetadataStore) -> None:
        store.close()
        store.close()
        with pytest.raises(StorageError), store.read():
            pass
        with pytest.raises(StorageError):
            store.check()

    def test_what_was_committed_outlives_the_store(self, store: MetadataStore, reopen: Reopen) -> None:
        records = one_of_each()
        with store.write() as tx:
            for record in records:
                tx.insert(record)
            last = tx.insert(change("o"))
        store.close()
        again = reopen()
        with again.write() as tx:
            for record in records:
                assert tx.select(type(record)) == [record]
            assert tx.insert(change("o")).seq > last.seq

    def test_two_stores_over_one_database_show_one_state(self, store: MetadataStore, reopen: Reopen) -> None:
        other = reopen()
        mine = experiment("mine")
        with store.write() as tx:
            tx.insert(mine)
        with other.write() as tx:
            assert tx.get(ExperimentRecord, mine.id) == mine
            first = tx.insert(change("mine"))
            with pytest.raises(Conflict):
                tx.insert(mine)
        with store.write() as tx:
            assert tx.select(ChangeEvent) == [first]
            assert tx.insert(change("mine")).seq > first.seq
