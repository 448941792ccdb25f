"""The memory store keeps what every metadata store promises."""

from collections.abc import Iterator

import pytest

from modelbox.errors import StorageUnavailable
from modelbox_server.storage.interfaces import MetadataStore
from modelbox_server.storage.metadata.memory import MemoryMetadataStore
from modelbox_server.testing.metadata_suite import MetadataStoreSuite


class TestMemoryMetadata(MetadataStoreSuite):
    durable = False

    @pytest.fixture
    def store(self) -> Iterator[MetadataStore]:
        store = MemoryMetadataStore()
        yield store
        store.close()

    def test_a_writer_inside_a_writer_is_told_instead_of_waiting_for_itself(self, store: MetadataStore) -> None:
        with store.write(), pytest.raises(StorageUnavailable), store.write():
            pass
