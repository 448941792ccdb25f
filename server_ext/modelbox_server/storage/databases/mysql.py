"""Connections to MySQL and MariaDB through PyMySQL, and their errors in our words."""

import math
import ssl

import pymysql
import sqlalchemy as sa
from pymysql.constants import CR, ER
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from modelbox.errors import ModelBoxError, StorageError, StorageFull, StorageUnavailable
from modelbox_server.storage.databases.settings import DatabaseSettings

__all__ = ["is_collision", "mysql_engine", "mysql_error"]

_AWAY_RETRY_S = 2.0
_RECYCLE_S = 1800
_MAX_TEXT_BYTES = (1 << 32) - 1

_TOO_MANY_CONNECTIONS = (ER.CON_COUNT_ERROR, 1203, 1226)  # 1203 and 1226: of one user
_SHUTTING_DOWN = (ER.SERVER_SHUTDOWN, 1152, 1927, 3169)  # aborted, killed
_READ_ONLY = (1290, 1836)
_FULL = (ER.DISK_FULL, 1114)
_DENIED = (ER.ACCESS_DENIED_ERROR, 1698)
_MAY_NOT = (1142, 1143, 1227, 1370)

# MariaDB says 1969 and MySQL 3024 when a statement took too long.
_BUSY = (ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, 1020, 1969, 3024)


def mysql_engine(settings: DatabaseSettings) -> sa.Engine:
    """Return a pool of connections; none is made before it is needed.

    Whoever takes one waits `pool_wait_s` at most and gets one that answered just now. Transactions are READ COMMITTED; values that do
    not fit are refused, not cut.
    """
    # The server ends a statement that waits for a lock; the socket is given up when the server itself does not answer any more.
    answer_s = settings.statement_timeout_s + settings.connect_timeout_s
    engine = sa.create_engine(
        sa.URL.create("mysql+pymysql", settings.username, None, None, settings.port, settings.dbname),
        connect_args={
            **({"unix_socket": settings.host} if settings.host.startswith("/") else {"host": settings.host}),
            "password": settings.password.encode(),
            "charset": "utf8mb4",
            "collation": "utf8mb4_bin",
            "connect_timeout": max(1, math.ceil(settings.connect_timeout_s)),
            "read_timeout": answer_s,
            "write_timeout": answer_s,
            "program_name": "modelbox",
            "init_command": (
                f"SET SESSION innodb_lock_wait_timeout = {max(1, int(settings.lock_wait_s))}, "
                f"lock_wait_timeout = {max(1, int(settings.lock_wait_s))}, "
                # What a machine that vanished has locked is free again after this time, and not after eight hours.
                f"wait_timeout = {max(60, int(settings.statement_timeout_s))}, "
                f"group_concat_max_len = {_MAX_TEXT_BYTES}, "
                "sql_mode = 'STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO'"
            ),
            **_tls(settings),
        },
        isolation_level="READ COMMITTED",
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_wait_s,
        pool_pre_ping=True,
        pool_recycle=_RECYCLE_S,
        pool_use_lifo=True,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def limit_statements(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        # MariaDB and MySQL have different names for it, and other units.
        for variable, limit in (
            ("max_statement_time", settings.statement_timeout_s),
            ("max_execution_time", settings.statement_timeout_s * 1000),
        ):
            cursor = connection.cursor()
            try:
                cursor.execute(f"SET SESSION {variable} = {int(limit)}")
            except pymysql.MySQLError as error:
                if _code(error) != ER.UNKNOWN_SYSTEM_VARIABLE:
                    raise
            finally:
                cursor.close()

    return engine


def is_collision(error: BaseException | None) -> bool:
    """Tell whether transactions that ran at once got into each other's way, so that the same one may do when it is run again."""
    return _code(error) in {ER.LOCK_DEADLOCK, 1020}


def mysql_error(error: BaseException | None, settings: DatabaseSettings) -> ModelBoxError:
    """Return an error of PyMySQL as one of ours; told apart by its number, never by its text."""
    code, said = _code(error), _said(error)
    # The numbers from 2000 to 2999 are the driver's: it found no server, or lost it. Without a number the connection was lost before.
    lost = code == 0 and not isinstance(error, pymysql.ProgrammingError | pymysql.DataError | pymysql.NotSupportedError)
    if lost or CR.CR_ERROR_FIRST <= code < 3000 or code in _SHUTTING_DOWN or code in _TOO_MANY_CONNECTIONS:
        return StorageUnavailable(
            f"The database {settings} cannot be reached ({said or 'connection lost'}): start it, or mend the settings; "
            "calls work again as soon as it answers.",
            retry_after_s=_AWAY_RETRY_S,
        )
    if code in _FULL:
        return StorageFull(f"No space is left for the database {settings}: free some, then try again.", retry_after_s=30)
    if code in _BUSY:
        return StorageUnavailable(f"The database {settings} is busy with other transactions ({said}): try again.", retry_after_s=1)
    if code in _DENIED:
        return StorageUnavailable(
            f"The database {settings} does not let user {settings.username!r} in: mend username and password of the settings, "
            "or the user of the database.",
            retry_after_s=10,
        )
    if code in {ER.BAD_DB_ERROR, ER.DBACCESS_DENIED_ERROR}:
        return StorageUnavailable(
            f"There is no database {settings} that user {settings.username!r} may use: make one, or name another one in dbname.",
            retry_after_s=10,
        )
    if code in _READ_ONLY:
        return StorageUnavailable(f"The database {settings} is read-only, perhaps a replica: name the primary server.", retry_after_s=10)
    if code in _MAY_NOT:
        return StorageError(f"User {settings.username!r} may not do this in the database {settings} ({said}): grant it the rights.")
    return StorageError(f"The database {settings} failed ({code or type(error).__name__}): {said}.")


def _tls(settings: DatabaseSettings) -> dict[str, object]:
    if settings.tls == "disable":
        return {"ssl_disabled": True}
    if settings.tls == "prefer":
        return {}
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    context.check_hostname = settings.tls == "verify-full"
    if settings.tls == "require":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def _code(error: BaseException | None) -> int:
    found = error.args[0] if isinstance(error, pymysql.MySQLError) and error.args else 0
    return found if isinstance(found, int) else 0


def _said(error: BaseException | None) -> str:
    return str(error.args[-1]).strip().partition("\n")[0] if error is not None and error.args else ""
