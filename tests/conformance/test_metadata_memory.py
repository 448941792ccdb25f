"""The memory store keeps what every metadata store promises."""

from collections.abc import Iterator

import pytest

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
