"""What only the metrics stores on database servers have: tables that others may read, and names that no database can hold."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelbox.wire.messages import ExperimentCreate, ExperimentsQuery, MetricsQuery, SqlRequest
from modelbox_server.config.loading import load_config
from modelbox_server.config.stores import configured_services, database_settings
from modelbox_server.service.context import Caller
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.metrics.mysql import MysqlMetricsStore
from modelbox_server.storage.metrics.postgres import PostgresMetricsStore
from modelbox_server.storage.metrics.server import ServerMetricsStore
from modelbox_server.storage.metrics.timescale import Policies, TimescaleSettings
from modelbox_server.testing.engines import DatabaseServer
from modelbox_server.testing.fixtures import caller, database_server
from modelbox_server.testing.metrics_suite import LOSS, OTHER, RUN, block, floats, points_of

__all__ = ["caller", "database_server"]

STORES: dict[str, Callable[[DatabaseSettings], ServerMetricsStore]] = {"postgres": PostgresMetricsStore, "mysql": MysqlMetricsStore}

Sql = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def settings(database_server: DatabaseServer) -> Iterator[DatabaseSettings]:
    with database_server.database() as settings:
        yield settings


@pytest.fixture
def store(database_server: DatabaseServer, settings: DatabaseSettings) -> Iterator[ServerMetricsStore]:
    store = STORES[database_server.kind](settings)
    yield store
    store.close()


@pytest.fixture
def sql(database_server: DatabaseServer, settings: DatabaseSettings) -> Iterator[Sql]:
    engine = database_server.engine(settings)

    def run(statement: str) -> list[tuple[object, ...]]:
        with engine.begin() as connection:
            found = connection.exec_driver_sql(statement)
            return [tuple(row) for row in found] if found.returns_rows else []

    yield run
    engine.dispose()


def test_points_can_be_asked_for_in_sql(database_server: DatabaseServer, store: ServerMetricsStore, sql: Sql) -> None:
    if database_server.kind != "postgres":
        pytest.skip("the store on MySQL keeps chunks, whose points SQL cannot see")
    store.append([block([(3, 1_700_000_000_123_456, 0.5), (4, 2**63 - 1, 0.25)])])
    found = sql("SELECT object_id, key, number, step, extract(epoch FROM wall_clock)::text, value FROM metric_values ORDER BY number")
    assert found == [(RUN, LOSS, 0, 3, "1700000000.123456", 0.5), (RUN, LOSS, 1, 4, None, 0.25)]


def test_an_object_of_very_many_series_has_no_overview(store: ServerMetricsStore, sql: Sql) -> None:
    keys = [f"k{number:04}" for number in range(1000)]
    store.append([block(floats(1.0), key=key) for key in keys])
    assert sql("SELECT series, length(layout) > 0 FROM metric_objects") == [(1000, 1)]
    store.append([block(floats(2.0), key="one more"), block(floats(3.0, start=1), key="k0007")])
    assert sql("SELECT series, length(layout) > 0 FROM metric_objects") == [(1001, 0)]
    store.append([block(floats(4.0, start=2), key="k0007")])
    columns = store.summary_columns([OTHER, RUN])
    assert (columns.key, set(columns.row)) == (sorted([*keys, "one more"]), {1})
    assert (columns.last[7], columns.count[7]) == (4.0, 3)


def test_names_that_no_database_holds_are_not_found(store: ServerMetricsStore) -> None:
    store.append([block(floats(1.0))])
    for name in ("a\0b", "\ud800"):
        assert store.read([name, RUN], [name]) == []
        assert store.summaries([name]) == []
        assert store.summary_columns([name]).key == []
        assert store.delete([name]) == 0
        assert [points_of(one) for one in store.read([name, RUN], [name, LOSS])] == [floats(1.0)]


def test_commits_are_on_the_disk_whatever_the_server_does_for_others(
    database_server: DatabaseServer, settings: DatabaseSettings, sql: Sql
) -> None:
    if database_server.kind != "postgres":
        pytest.skip("MySQL has no such setting of a session")
    sql(f"ALTER DATABASE {settings.dbname} SET synchronous_commit = off")
    engine = database_server.engine(settings)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    engine.dispose()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # Python 3.12 and later say so, rightly
def test_a_forked_child_and_its_parent_go_on_together(store: ServerMetricsStore) -> None:
    store.append([block(floats(0.0))])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for index in range(10):
                store.append([block(floats(1.0, start=index))])
            status = 0 if store.read([RUN]) else 2
        finally:
            os._exit(status)
    for index in range(10):
        store.append([block(floats(2.0, start=index))])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(store.read([RUN])[0]) == 21


def test_the_pool_tells_how_it_is(store: ServerMetricsStore) -> None:
    store.check()
    assert store.pool_status() == {"size": 10, "open": 1, "in_use": 0}


def test_tables_beside_those_of_a_metadata_store_are_no_trouble(
    database_server: DatabaseServer, settings: DatabaseSettings, sql: Sql
) -> None:
    from modelbox_server.storage.metadata.mysql import MysqlMetadataStore
    from modelbox_server.storage.metadata.postgres import PostgresMetadataStore

    make = PostgresMetadataStore if database_server.kind == "postgres" else MysqlMetadataStore
    metadata, metrics = make(settings), STORES[database_server.kind](settings)
    metadata.check()
    metrics.check()
    assert metadata.migrations.status().pending == metrics.migrations.status().pending == ()
    tables = set(sa.inspect(engine := database_server.engine(settings)).get_table_names())
    engine.dispose()
    assert {"modelbox_migrations", "modelbox_metrics_migrations", "metadata", "metric_series"} <= tables
    metadata.close()
    metrics.close()


def test_a_server_is_configured_to_use_it(
    database_server: DatabaseServer, settings: DatabaseSettings, tmp_path: Path, caller: Caller
) -> None:
    """From the file to the points, which are there after a restart; records are kept in a file here."""
    storage = {"postgres": "timescaledb", "mysql": "mysql"}[database_server.kind]
    policies = "compress_after_days = 30\nretention_days = 0\n" if storage == "timescaledb" else ""
    file = tmp_path / "box.toml"
    file.write_text(
        f'metadata_storage = "integrated"\nmetrics_storage = "{storage}"\n'
        f'[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"\n'
        f'[metadata_storage_integrated]\npath = "{tmp_path / "records.db"}"\n'
        f'[metrics_storage_{storage}]\nhost = "{settings.host}"\nport = {settings.port}\nusername = "{settings.username}"\n'
        f'password = "{settings.password}"\ndbname = "{settings.dbname}"\n{policies}'
    )
    file.chmod(0o600)
    config = load_config(file, {})
    services = configured_services(config)
    experiment = services.experiments.create(caller, ExperimentCreate(name="e")).item.id
    services.metrics.append(caller, [block(floats(1.0, 2.0), object_id=experiment)])
    services.close()
    services = configured_services(config)
    assert services.stores.metrics.name == storage
    (found,) = services.metrics.read(caller, MetricsQuery(objects=[experiment]))
    assert points_of(found) == floats(1.0, 2.0)
    frame = services.frames.experiments(caller, ExperimentsQuery())
    assert (frame.metrics.key, frame.metrics.last) == ([LOSS], [2.0])
    answer = services.sql.run(caller, SqlRequest(sql="SELECT key, first, last FROM metrics"))
    assert [column.values for column in answer.columns] == [[LOSS], [1.0], [2.0]]
    services.close()


def test_what_becomes_of_old_points_is_read_from_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "box.toml"
    file.write_text(
        f'metrics_storage = "timescaledb"\n[artifact_storage_filesystem]\nbase_dir = "{tmp_path}"\n[metrics_storage_timescaledb]\n'
        'host = "db"\nusername = "u"\ndbname = "d"\nchunk_days = 1\ncompress_after_days = 2\nretention_days = 90\n'
    )
    found = database_settings(load_config(file, {}), "metrics_storage")
    assert found == TimescaleSettings("db", 5432, "u", dbname="d", policies=Policies(1, 2, 90))
