"""The metrics store on MariaDB keeps what every metrics store promises."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.interfaces import MetricsStore
from modelbox_server.storage.metrics.mysql import MysqlMetricsStore
from modelbox_server.testing.engines import mariadb_server
from modelbox_server.testing.metrics_suite import MetricsStoreSuite, Reopen


@pytest.fixture
def settings() -> Iterator[DatabaseSettings]:
    with mariadb_server().database() as settings:
        yield settings


class TestMysqlMetrics(MetricsStoreSuite):
    @pytest.fixture
    def store(self, settings: DatabaseSettings) -> Iterator[MetricsStore]:
        store = MysqlMetricsStore(settings)
        yield store
        store.close()

    @pytest.fixture
    def reopen(self, settings: DatabaseSettings) -> Iterator[Reopen]:
        with ExitStack() as opened:

            def again(store: MetricsStore) -> MetricsStore:
                store.close()
                store = MysqlMetricsStore(settings)
                opened.callback(store.close)
                return store

            yield again
