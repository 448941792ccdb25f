"""What the metrics store says to TimescaleDB.

The extension is in no package registry. Its tests run where a server that has it is offered in ``MODELBOX_TEST_TIMESCALE_DSN``, or where
the PostgreSQL of the tests has it. Without it the same statements run against functions of the same signatures that only note how they
were called: that checks their syntax and arguments, not what the extension would do.
"""

import logging
import os
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.metrics.postgres import PostgresMetricsStore
from modelbox_server.storage.metrics.timescale import HYPERTABLES, Policies, TimescaleSettings, compress, make_hypertables, set_policies
from modelbox_server.testing.engines import DatabaseServer, OfferedServer, postgres_server
from modelbox_server.testing.metrics_suite import RUN, block, floats, points_of

# Signatures as of TimescaleDB 2.28, arguments that are not given left out.
STAND_INS = """
CREATE TABLE calls (said text);
CREATE TYPE dimension_info AS (said text);
CREATE FUNCTION by_range(column_name name, partition_interval anyelement) RETURNS dimension_info LANGUAGE sql AS
    $$ SELECT ROW(format('%s every %s', column_name, partition_interval))::dimension_info $$;
CREATE FUNCTION create_hypertable(
    relation regclass, dimension dimension_info, create_default_indexes boolean DEFAULT true, if_not_exists boolean DEFAULT false,
    migrate_data boolean DEFAULT false
) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO calls VALUES (format('hypertable %s by %s', relation, (dimension).said)) $$;
CREATE FUNCTION set_chunk_time_interval(hypertable regclass, chunk_time_interval anyelement) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO calls VALUES (format('chunks of %s: %s', hypertable, chunk_time_interval)) $$;
CREATE SCHEMA timescaledb_information;
CREATE TABLE timescaledb_information.hypertables (hypertable_schema name, hypertable_name name, compression_enabled boolean);
CREATE TABLE timescaledb_information.jobs (hypertable_schema name, hypertable_name name, proc_name name, config jsonb);
CREATE FUNCTION add_compression_policy(hypertable regclass, compress_after interval, if_not_exists boolean DEFAULT false) RETURNS integer
    LANGUAGE sql AS $$
    INSERT INTO calls VALUES (format('compress %s after %s', hypertable, compress_after));
    INSERT INTO timescaledb_information.jobs VALUES
        (current_schema(), hypertable::text, 'policy_compression', jsonb_build_object('compress_after', compress_after)) RETURNING 1 $$;
CREATE FUNCTION remove_compression_policy(hypertable regclass, if_exists boolean DEFAULT false) RETURNS boolean LANGUAGE sql AS $$
    INSERT INTO calls VALUES (format('do not compress %s', hypertable));
    DELETE FROM timescaledb_information.jobs
        WHERE hypertable_name = hypertable::text AND proc_name = 'policy_compression' RETURNING true $$;
CREATE FUNCTION add_retention_policy(relation regclass, drop_after interval, if_not_exists boolean DEFAULT false) RETURNS integer
    LANGUAGE sql AS $$
    INSERT INTO calls VALUES (format('drop from %s after %s', relation, drop_after));
    INSERT INTO timescaledb_information.jobs
        VALUES (current_schema(), relation::text, 'policy_retention', jsonb_build_object('drop_after', drop_after)) RETURNING 1 $$;
CREATE FUNCTION remove_retention_policy(relation regclass, if_exists boolean DEFAULT false) RETURNS void LANGUAGE sql AS $$
    INSERT INTO calls VALUES (format('drop nothing from %s', relation));
    DELETE FROM timescaledb_information.jobs WHERE hypertable_name = relation::text AND proc_name = 'policy_retention' $$;
"""


@pytest.fixture
def settings() -> Iterator[DatabaseSettings]:
    with postgres_server().database() as settings:
        yield settings


def calls(connection: sa.Connection) -> list[str]:
    """Return what the stand-ins were told since the last time."""
    said = [row[0] for row in connection.exec_driver_sql("SELECT said FROM calls")]
    connection.exec_driver_sql("DELETE FROM calls")
    return said


class TestStatementsAgainstStandIns:
    """Functions of ours in place of those of the extension."""

    @pytest.fixture
    def connection(self, settings: DatabaseSettings) -> Iterator[sa.Connection]:
        PostgresMetricsStore(settings).close()
        engine = postgres_server().engine(settings)
        with engine.begin() as connection:
            connection.exec_driver_sql(STAND_INS.replace("%", "%%"))
            yield connection
        engine.dispose()

    def test_both_tables_become_hypertables_by_arrival(self, connection: sa.Connection) -> None:
        make_hypertables(connection, Policies(chunk_days=3))
        assert calls(connection) == [
            said
            for table in ("metric_points", "metric_contents")
            for said in (f"hypertable {table} by arrived_at every 3 days", f"chunks of {table}: 3 days")
        ]

    def test_policies_follow_the_settings_and_are_left_alone_when_they_are_right(self, connection: sa.Connection) -> None:
        set_policies(connection, Policies())
        assert calls(connection) == [f"compress {table} after 7 days" for table in HYPERTABLES]
        set_policies(connection, Policies())
        assert calls(connection) == []
        set_policies(connection, Policies(compress_after_days=2, retention_days=90))
        assert calls(connection) == [
            said
            for table in HYPERTABLES
            for said in (f"do not compress {table}", f"compress {table} after 2 days", f"drop from {table} after 90 days")
        ]
        set_policies(connection, Policies(compress_after_days=0, retention_days=0))
        assert calls(connection) == [said for table in HYPERTABLES for said in (f"do not compress {table}", f"drop nothing from {table}")]
        set_policies(connection, Policies(compress_after_days=0, retention_days=0))
        assert calls(connection) == []

    def test_how_to_compress_is_said_once(self, connection: sa.Connection) -> None:
        for table in HYPERTABLES:
            connection.exec_driver_sql(f"INSERT INTO timescaledb_information.hypertables VALUES (current_schema(), '{table}', true)")
        compress(connection)
        connection.exec_driver_sql("UPDATE timescaledb_information.hypertables SET compression_enabled = false")
        # Here the parser has been passed: PostgreSQL refuses what it does not know once it carries the statement out.
        with pytest.raises(DBAPIError, match='unrecognized parameter namespace "timescaledb"'):
            compress(connection)


class TestPlainPostgres:
    def test_one_line_of_the_log_says_that_the_extension_is_not_there(
        self, settings: DatabaseSettings, caplog: pytest.LogCaptureFixture
    ) -> None:
        if offered() is not None:
            pytest.skip("the PostgreSQL of these tests has TimescaleDB")
        with caplog.at_level(logging.INFO, "modelbox_server"):
            PostgresMetricsStore(settings).close()
        assert [line for line in caplog.messages if "TimescaleDB" in line] == [
            "Metrics are kept in plain PostgreSQL tables: this database has no TimescaleDB extension."
        ]

    def test_a_retention_that_nobody_would_carry_out_is_warned_of(
        self, settings: DatabaseSettings, caplog: pytest.LogCaptureFixture
    ) -> None:
        if offered() is not None:
            pytest.skip("the PostgreSQL of these tests has TimescaleDB")
        PostgresMetricsStore(with_policies(settings, Policies(retention_days=30))).close()
        assert caplog.messages == ["retention_days has no effect: points are dropped by TimescaleDB, which this database does not have."]


def with_policies(settings: DatabaseSettings, policies: Policies) -> TimescaleSettings:
    return TimescaleSettings(
        settings.host, settings.port, settings.username, settings.password, settings.dbname, policies=policies, tls=settings.tls
    )


def offered() -> DatabaseServer | None:
    """Return a server with the extension, if there is one."""
    dsn = os.environ.get("MODELBOX_TEST_TIMESCALE_DSN")
    server = OfferedServer(dsn) if dsn else postgres_server()
    engine = server.engine(server.settings)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'").scalar()
    engine.dispose()
    return server if found else None


class TestTheExtension:
    """With a real TimescaleDB."""

    @pytest.fixture
    def database(self) -> Iterator[DatabaseSettings]:
        server = offered()
        if server is None:
            pytest.skip("TimescaleDB is not here: name a server that has it in MODELBOX_TEST_TIMESCALE_DSN")
        with server.database() as settings:
            yield settings

    def test_points_lie_in_chunks_and_are_read_and_deleted_also_when_compressed(self, database: DatabaseSettings) -> None:
        store = PostgresMetricsStore(with_policies(database, Policies()))
        store.append([block(floats(*range(5000))), block(floats(1.0), key="other")])
        engine = postgres_server().engine(database)
        with engine.begin() as connection:
            count = "SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_name LIKE 'metric_%%'"
            assert connection.exec_driver_sql(count).scalar() == 2
            jobs = connection.exec_driver_sql("SELECT proc_name FROM timescaledb_information.jobs WHERE hypertable_name LIKE 'metric_%%'")
            assert sorted(row[0] for row in jobs) == ["policy_compression"] * 2
            connection.exec_driver_sql("SELECT compress_chunk(c) FROM show_chunks('metric_points') AS c").all()
        assert [points_of(one) for one in store.read([RUN], ["val/loss @1"])] == [floats(*range(5000))]
        store.append([block(floats(7.0, start=5000))])
        assert len(store.read([RUN], ["val/loss @1"], skip={(RUN, "val/loss @1"): 4990})[0]) == 11
        assert store.delete([RUN]) == 5002
        assert store.read([RUN]) == []
        engine.dispose()
        store.close()

    def test_policies_change_with_the_settings(self, database: DatabaseSettings) -> None:
        engine = postgres_server().engine(database)
        for policies, expected in (
            (Policies(), ["policy_compression"] * 2),
            (Policies(compress_after_days=0, retention_days=90), ["policy_retention"] * 2),
            (Policies(compress_after_days=0), []),
        ):
            PostgresMetricsStore(with_policies(database, policies)).close()
            with engine.begin() as connection:
                jobs = connection.exec_driver_sql(
                    "SELECT proc_name FROM timescaledb_information.jobs WHERE hypertable_name LIKE 'metric_%%'"
                )
                assert sorted(row[0] for row in jobs) == expected
        engine.dispose()
