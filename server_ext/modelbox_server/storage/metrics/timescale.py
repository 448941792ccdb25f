"""Everything that is said to the TimescaleDB extension: hypertables, compression, retention.

Written for 2.13 and later (``by_range``), tried with 2.28. Compression and policies belong to the edition under the Timescale license; the
Apache edition has hypertables only. Both tables of points are cut by the time at which points arrived.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from modelbox_server.storage.databases.settings import DatabaseSettings

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["HYPERTABLES", "Policies", "TimescaleSettings", "compress", "has_extension", "make_hypertables", "set_policies", "use_extension"]

_log = logging.getLogger(__name__)

HYPERTABLES = ("metric_points", "metric_contents")
"""The tables that are cut into chunks."""


@dataclass(frozen=True, slots=True)
class Policies:
    """What becomes of points as they grow old, counted from when they arrived.

    Parameters
    ----------
    chunk_days
        How much time a chunk covers; holds for chunks to come.
    compress_after_days
        When chunks are compressed; 0 for never.
    retention_days
        When chunks are dropped; 0 for never. What is known of a series (its last value, its bounds) stays.
    """

    chunk_days: int = 7
    compress_after_days: int = 7
    retention_days: int = 0


@dataclass(frozen=True, slots=True)
class TimescaleSettings(DatabaseSettings):
    """A database with TimescaleDB, or without it."""

    policies: Policies = Policies()


def use_extension(connection: sa.Connection, policies: Policies, *, change: bool) -> bool:
    """Have the extension do what it can here, and say in the log what that is; return whether it is there.

    Parameters
    ----------
    connection
        In a transaction of whoever may change tables now.
    policies
        What is wished.
    change
        Whether tables may become hypertables.
    """
    if not has_extension(connection, make=change):
        if policies.retention_days:
            _log.warning("retention_days has no effect: points are dropped by TimescaleDB, which this database does not have.")
        _log.info("Metrics are kept in plain PostgreSQL tables: this database has no TimescaleDB extension.")
        return False
    if change:
        make_hypertables(connection, policies)
    elif _hypertables(connection) != len(HYPERTABLES):
        _log.warning("Metrics are kept in plain PostgreSQL tables: start once with auto_migrate = true to have TimescaleDB use them.")
        return True
    if connection.exec_driver_sql("SELECT current_setting('timescaledb.license', true)").scalar() == "apache":
        _log.info("Metrics are kept in hypertables, uncompressed and for ever: this is the Apache edition of TimescaleDB.")
        return True
    compress(connection)
    set_policies(connection, policies)
    _log.info("Metrics are kept in hypertables of TimescaleDB, %s.", _words(policies))
    return True


def has_extension(connection: sa.Connection, *, make: bool) -> bool:
    """Tell whether the extension is in this database; `make` it where the server has it loaded."""
    if connection.exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").scalar() is not None:
        return True
    # Trying to make it where its loader is not there, which this setting of it tells, ends the connection.
    is_offered = connection.exec_driver_sql(
        "SELECT 1 FROM pg_available_extensions, pg_settings "
        "WHERE pg_available_extensions.name = 'timescaledb' AND pg_settings.name = 'timescaledb.max_background_workers'"
    ).scalar()
    if not (make and is_offered):
        return False
    try:
        with connection.begin_nested():
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except DBAPIError as error:
        reason = str(error.orig).partition("\n")[0]
        _log.warning("TimescaleDB is not used (%s): have an administrator run CREATE EXTENSION timescaledb in this database.", reason)
        return False
    return True


def make_hypertables(connection: sa.Connection, policies: Policies) -> None:
    """Turn the tables of points into hypertables where they are none, with all that is in them."""
    for table in HYPERTABLES:
        connection.exec_driver_sql(
            f"SELECT create_hypertable('{table}', by_range('arrived_at', INTERVAL '{int(policies.chunk_days)} days'), "
            "create_default_indexes => false, if_not_exists => true, migrate_data => true)"
        )
        connection.exec_driver_sql(f"SELECT set_chunk_time_interval('{table}', INTERVAL '{int(policies.chunk_days)} days')")


def compress(connection: sa.Connection) -> None:
    """Say how chunks are to be compressed, where that was not said before: it takes a lock that waits for everybody."""
    for table in HYPERTABLES:
        is_set = connection.exec_driver_sql(
            "SELECT compression_enabled FROM timescaledb_information.hypertables "
            "WHERE hypertable_schema = current_schema() AND hypertable_name = %s",
            (table,),
        ).scalar()
        if not is_set:
            connection.exec_driver_sql(
                f"ALTER TABLE {table} SET (timescaledb.compress, timescaledb.compress_segmentby = 'series_id', "
                "timescaledb.compress_orderby = 'number')"
            )


def set_policies(connection: sa.Connection, policies: Policies) -> None:
    """Make the policies of our tables those that are wished; one that is there already with the right time is left alone."""
    for table in HYPERTABLES:
        for kind, argument, days in (
            ("compression", "compress_after", policies.compress_after_days),
            ("retention", "drop_after", policies.retention_days),
        ):
            is_right = connection.exec_driver_sql(
                "SELECT (config ->> %s)::interval = make_interval(days => %s) FROM timescaledb_information.jobs "
                "WHERE hypertable_schema = current_schema() AND hypertable_name = %s AND proc_name = %s",
                (argument, days, table, f"policy_{kind}"),
            ).scalar()
            if is_right is False or (is_right and not days):
                connection.exec_driver_sql(f"SELECT remove_{kind}_policy('{table}', if_exists => true)")
            if days and not is_right:
                connection.exec_driver_sql(f"SELECT add_{kind}_policy('{table}', INTERVAL '{int(days)} days', if_not_exists => true)")


def _hypertables(connection: sa.Connection) -> int:
    found = (
        "SELECT count(*) FROM timescaledb_information.hypertables "
        "WHERE hypertable_schema = current_schema() AND hypertable_name IN (%s, %s)"
    )
    return connection.exec_driver_sql(found, HYPERTABLES).scalar_one()  # type: ignore[no-any-return]


def _words(policies: Policies) -> str:
    compressed = f"compressed after {policies.compress_after_days} days" if policies.compress_after_days else "not compressed"
    return f"{compressed}, {f'dropped after {policies.retention_days} days' if policies.retention_days else 'never dropped'}"
