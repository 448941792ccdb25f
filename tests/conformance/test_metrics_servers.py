"""The stores on PostgreSQL and MySQL keep what every metrics store promises."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.interfaces import MetricsStore
from modelbox_server.storage.metrics.mysql import MysqlMetricsStore
from modelbox_server.storage.metrics.postgres import PostgresMetricsStore
from modelbox_server.storage.metrics.server import ServerMetricsStore
from modelbox_server.testing.engines import DatabaseServer, mariadb_as_mysql_server, mariadb_server, postgres_server
from modelbox_server.testing.metrics_suite import MetricsStoreSuite, Reopen

TABLES = ["metric_objects", "metric_series", "metric_batches"]


class ServerSuite(MetricsStoreSuite):
    """One database for the whole class: emptying it takes a hundredth of making it."""

    server: Callable[[], DatabaseServer]
    open_store: Callable[[DatabaseSettings], ServerMetricsStore]
    tables: list[str]

    @pytest.fixture(scope="class")
    @classmethod
    def database(cls) -> Iterator[DatabaseSettings]:
        with cls.server().database() as made:
            yield made

    @pytest.fixture
    def store(self, database: DatabaseSettings) -> Iterator[MetricsStore]:
        store = type(self).open_store(database)
        yield store
        store.close()
        engine = type(self).server().engine(database)
        with engine.begin() as connection:
            for table in self.tables:
                connection.exec_driver_sql(f"DELETE FROM {table}")
        engine.dispose()

    @pytest.fixture
    def reopen(self, database: DatabaseSettings) -> Iterator[Reopen]:
        with ExitStack() as opened:

            def again(store: MetricsStore) -> MetricsStore:
                store.close()
                store = type(self).open_store(database)
                opened.callback(store.close)
                return store

            yield again


class TestPostgresMetrics(ServerSuite):
    server = staticmethod(postgres_server)
    open_store = PostgresMetricsStore
    tables = [*TABLES, "metric_points", "metric_contents"]  # noqa: RUF012  (pytest sees class attributes)


class TestMariaDbMetrics(ServerSuite):
    server = staticmethod(mariadb_server)
    open_store = MysqlMetricsStore
    tables = [*TABLES, "metric_chunks"]  # noqa: RUF012  (as above)


class TestMysqlMetrics(ServerSuite):
    """A MariaDB that calls itself MySQL and is as strict."""

    server = staticmethod(mariadb_as_mysql_server)
    open_store = MysqlMetricsStore
    tables = [*TABLES, "metric_chunks"]  # noqa: RUF012  (as above)
