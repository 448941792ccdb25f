"""The stores on PostgreSQL and MySQL keep what every metadata store promises."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.interfaces import MetadataStore
from modelbox_server.storage.metadata.mysql import MysqlMetadataStore
from modelbox_server.storage.metadata.postgres import PostgresMetadataStore
from modelbox_server.storage.metadata.servers import ServerMetadataStore
from modelbox_server.storage.metadata.tables import METADATA
from modelbox_server.testing.engines import DatabaseServer, mariadb_as_mysql_server, mariadb_server, postgres_server
from modelbox_server.testing.metadata_suite import MetadataStoreSuite, Reopen


class ServerSuite(MetadataStoreSuite):
    """One database for the whole class: emptying it takes a hundredth of making it."""

    durable = True
    server: Callable[[], DatabaseServer]
    open_store: Callable[[DatabaseSettings], ServerMetadataStore]

    @pytest.fixture(scope="class")
    @classmethod
    def database(cls) -> Iterator[DatabaseSettings]:
        with cls.server().database() as made:
            yield made

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, database: DatabaseSettings) -> Iterator[sa.Engine]:
        engine = cls.server().engine(database)
        yield engine
        engine.dispose()

    @pytest.fixture
    def store(self, database: DatabaseSettings, engine: sa.Engine) -> Iterator[MetadataStore]:
        store = type(self).open_store(database)
        yield store
        store.close()
        with engine.begin() as connection:
            for table in METADATA.sorted_tables:
                connection.execute(table.delete())

    @pytest.fixture
    def reopen(self, database: DatabaseSettings) -> Iterator[Reopen]:
        with ExitStack() as opened:

            def again() -> MetadataStore:
                store = type(self).open_store(database)
                opened.callback(store.close)
                return store

            yield again


class TestPostgresMetadata(ServerSuite):
    server = staticmethod(postgres_server)
    open_store = PostgresMetadataStore


class TestMariaDbMetadata(ServerSuite):
    server = staticmethod(mariadb_server)
    open_store = MysqlMetadataStore


class TestMysqlMetadata(ServerSuite):
    """MariaDB in the clothes of MySQL: SQLAlchemy then does without RETURNING and all else that MySQL has not."""

    server = staticmethod(mariadb_as_mysql_server)
    open_store = MysqlMetadataStore
