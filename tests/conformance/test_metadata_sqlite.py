"""The SQLite store keeps what every metadata store promises."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from modelbox_server.storage.interfaces import MetadataStore
from modelbox_server.storage.metadata.sqlite import SqliteMetadataStore
from modelbox_server.testing.metadata_suite import MetadataStoreSuite, Reopen


class TestSqliteMetadata(MetadataStoreSuite):
    durable = True

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "dossier d'été %?#" / "modelbox.db"

    @pytest.fixture
    def store(self, path: Path) -> Iterator[MetadataStore]:
        store = SqliteMetadataStore(path)
        yield store
        store.close()

    @pytest.fixture
    def reopen(self, path: Path) -> Iterator[Reopen]:
        with ExitStack() as opened:

            def again() -> MetadataStore:
                store = SqliteMetadataStore(path)
                opened.callback(store.close)
                return store

            yield again
