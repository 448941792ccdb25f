"""The tables of the metrics store on MySQL and MariaDB, as numbered steps. Frozen history: a step that was released never changes.

They stand beside those of a metadata store where both use one database, so each has a name of its own. MySQL commits each change of
the schema by itself: every statement is safe to repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelbox_server.storage.migrations.runner import Migration

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["MYSQL_STEPS"]

# Names are bytes of UTF-8: no collation makes two of them one, and they sort by code point. What is last, least, greatest and the mean are
# doubles as they lie in memory, as DOUBLE has neither NaN nor infinities.
_INITIAL = (
    """
    CREATE TABLE IF NOT EXISTS metric_objects (
        object_id VARBINARY(256) NOT NULL PRIMARY KEY,
        series BIGINT NOT NULL,
        layout LONGBLOB NOT NULL,
        numbers LONGBLOB NOT NULL,
        texts LONGBLOB NOT NULL
    ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
    """,
    """
    CREATE TABLE IF NOT EXISTS metric_series (
        id BIGINT NOT NULL PRIMARY KEY AUTO_INCREMENT,
        object_id VARBINARY(256) NOT NULL,
        `key` VARBINARY(2048) NOT NULL,
        kind SMALLINT NOT NULL,
        points BIGINT NOT NULL,
        first_step BIGINT NOT NULL,
        last_step BIGINT NOT NULL,
        last_clock_us BIGINT NOT NULL,
        numbers BIGINT NOT NULL,
        floats BINARY(32) NOT NULL,
        last_text LONGBLOB,
        UNIQUE KEY metric_series_key (object_id, `key`, kind)
    ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
    """,
    """
    CREATE TABLE IF NOT EXISTS metric_chunks (
        series_id BIGINT NOT NULL,
        start BIGINT NOT NULL,
        points INT NOT NULL,
        first_step BIGINT NOT NULL,
        last_step BIGINT NOT NULL,
        bytes INT NOT NULL,
        data LONGBLOB NOT NULL,
        PRIMARY KEY (series_id, start)
    ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
    """,
    """
    CREATE TABLE IF NOT EXISTS metric_batches (
        client VARBINARY(2048) NOT NULL,
        number BIGINT NOT NULL,
        digest VARBINARY(64) NOT NULL,
        points BIGINT NOT NULL,
        PRIMARY KEY (client, number)
    ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
    """,
    "CREATE TABLE IF NOT EXISTS metric_probe (id SMALLINT NOT NULL PRIMARY KEY, at_us BIGINT NOT NULL) ENGINE = InnoDB",
)


def _initial(connection: sa.Connection) -> None:
    for statement in _INITIAL:
        connection.exec_driver_sql(statement)


MYSQL_STEPS = (Migration(1, "initial", _initial),)
