"""What is odd about the metadata of one database server and not of the other."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from modelbox.entities.records import MetadataEntry
from modelbox_server.storage.metadata.servers import ServerMetadataStore
from modelbox_server.testing.database_writer import open_metadata
from modelbox_server.testing.engines import DatabaseServer
from modelbox_server.testing.metadata_samples import entry, experiment


@pytest.fixture
def store(database_server: DatabaseServer) -> Iterator[ServerMetadataStore]:
    """Return a store whose transactions all take one connection."""
    with (
        database_server.database() as settings,
        closing(open_metadata(database_server.kind, replace(settings, pool_size=1, pool_wait_s=5))) as store,
    ):
        yield store


def test_what_a_view_is_allowed_does_not_reach_the_transaction_behind_it(store: ServerMetadataStore) -> None:
    for _ in range(3):
        with store.read():
            pass  # not even a question
        with store.write("o") as tx:
            tx.insert(experiment())
        with store.read() as tx:
            tx.count(MetadataEntry)
        with store.write() as tx:
            tx.insert(experiment())


def test_a_transaction_may_be_about_very_many_objects(store: ServerMetadataStore) -> None:
    """More than a database has locks for."""
    with store.write(*(f"object {number}" for number in range(20_000))) as tx:
        tx.insert(experiment())


@pytest.mark.parametrize("mebibytes", [3, 20])
def test_a_document_may_be_larger_than_what_the_database_joins_by_itself(store: ServerMetadataStore, mebibytes: int) -> None:
    """MySQL joins 1,024 bytes unless it is told otherwise, MariaDB a mebibyte, and neither sends more than a packet."""
    values = {f"k{number:02}": f"{number}" + "é" * ((1 << 19) - 100) for number in range(mebibytes)}
    for key, value in values.items():
        with store.write("o") as tx:
            tx.put([entry("o", key, value)])
    with store.read() as tx:
        assert tx.documents(["o"]) == [values]
        assert tx.documents(["o", "p"], ["k01"]) == [{"k01": values["k01"]}, {}]
        some = {key: value for key, value in values.items() if key != "k02"}
        assert tx.documents(["o"], without=["k02"]) == [some]
