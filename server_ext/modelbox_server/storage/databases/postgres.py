"""Connections to PostgreSQL through psycopg2, and its errors in our words."""

import math
from typing import cast

import psycopg2
import psycopg2.extensions
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from modelbox.errors import ModelBoxError, StorageError, StorageFull, StorageUnavailable
from modelbox_server.storage.databases.settings import DatabaseSettings

__all__ = ["is_collision", "postgres_engine", "postgres_error"]

_AWAY_RETRY_S = 2.0
_RECYCLE_S = 1800


def postgres_engine(settings: DatabaseSettings) -> sa.Engine:
    """Return a pool of connections; none is made before it is needed.

    Whoever takes one waits `pool_wait_s` at most and gets one that answered just now. Transactions are READ COMMITTED.
    """
    engine = sa.create_engine(
        sa.URL.create("postgresql+psycopg2", settings.username, None, None, settings.port, settings.dbname),
        connect_args={
            "host": settings.host,
            "password": settings.password,
            # The driver takes whole seconds, 2 at least.
            "connect_timeout": max(2, math.ceil(settings.connect_timeout_s)),
            "application_name": "modelbox",
            "sslmode": settings.tls,
            **({"sslrootcert": settings.ca_file} if settings.ca_file else {}),
            # A server that vanished without a word is noticed while we wait for its answer, and while we send.
            "keepalives": 1,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 4,
            "tcp_user_timeout": 30_000,
        },
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_wait_s,
        pool_pre_ping=True,
        pool_recycle=_RECYCLE_S,
        pool_use_lifo=True,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        # Not in the options of the connection, which PgBouncer refuses.
        cursor = connection.cursor()
        cursor.execute(
            f"SET statement_timeout = {int(settings.statement_timeout_s * 1000)}; SET lock_timeout = {int(settings.lock_wait_s * 1000)};"
            f"SET idle_in_transaction_session_timeout = {int(settings.statement_timeout_s * 1000)};"
            # What is acknowledged is on the disk, whatever the server does for others; a replica that must have it as well stays so.
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        cursor.close()
        cast(psycopg2.extensions.connection, connection).commit()

    return engine


def is_collision(error: BaseException | None) -> bool:
    """Tell whether transactions that ran at once got into each other's way, so that the same one may do when it is run again."""
    return _code(error) in {"40001", "40P01"}


def postgres_error(error: BaseException | None, settings: DatabaseSettings) -> ModelBoxError:
    """Return an error of psycopg2 as one of ours; told apart by its SQLSTATE, never by its text."""
    code, said = _code(error), str(error).strip().partition("\n")[0]
    # Without a code it was the driver that found no server, was sent away by it, or lost it.
    lost = not code and not isinstance(error, psycopg2.ProgrammingError | psycopg2.DataError | psycopg2.NotSupportedError)
    match code[:2]:
        case "53" if code == "53100":
            return StorageFull(f"No space is left for the database {settings}: free some, then try again.", retry_after_s=30)
        case _ if lost or (code[:2] in {"08", "53", "57"} and code != "57014"):
            return StorageUnavailable(
                f"The database {settings} cannot be reached ({said or 'connection lost'}): start it, or mend the settings; "
                "calls work again as soon as it answers.",
                retry_after_s=_AWAY_RETRY_S,
            )
        case "40" | "55" | "57":
            return StorageUnavailable(f"The database {settings} is busy with other transactions ({said}): try again.", retry_after_s=1)
        case "25" if code == "25006":
            return StorageUnavailable(
                f"The database {settings} is read-only, perhaps a standby: name the primary server.", retry_after_s=10
            )
        case "42" if code == "42501":
            return StorageError(f"User {settings.username!r} may not do this in the database {settings} ({said}): grant it the rights.")
        case _:
            return StorageError(f"The database {settings} failed ({code or type(error).__name__}): {said}.")


def _code(error: BaseException | None) -> str:
    return (isinstance(error, psycopg2.Error) and error.pgcode) or ""
