"""Throw-away database servers for tests: real PostgreSQL and MariaDB on loopback, with data folders of their own.

:func:`postgres_server` and :func:`mariadb_server` start one of each per process at first use (a worker of pytest-xdist is a process) and
stop it when the process ends; both give fresh empty databases cheaply. Where ``MODELBOX_TEST_PG_URL`` or ``MODELBOX_TEST_MYSQL_URL`` names
a server (``postgresql://user:password@host:port/dbname``), that one is used, which must allow its user to make databases.

What kills or restarts a server takes one of its own: ``with PostgresServer() as server``.
"""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import ClassVar, Literal, Self

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from modelbox_server.storage.databases.mysql import mysql_engine
from modelbox_server.storage.databases.postgres import postgres_engine
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.testing.certificates import Certificate
from modelbox_server.testing.jupyter_process import free_port

__all__ = [
    "DatabaseServer",
    "MariaDbServer",
    "OfferedServer",
    "PostgresServer",
    "mariadb_as_mysql_server",
    "mariadb_server",
    "postgres_server",
]

_START_S = 60.0
_STOP_S = 30.0
_USER, _PASSWORD = "modelbox", "s3cr3t-ö"

_numbers = count(1)


class DatabaseServer(ABC):
    """A database server that tests may use as they like."""

    kind: ClassVar[Literal["postgres", "mysql"]]
    """Which driver it wants: also the name of its backend in the settings."""

    settings: DatabaseSettings
    """How to reach it; its database is there for whoever makes others."""

    def engine(self, settings: DatabaseSettings) -> sa.Engine:
        """Return connections to one of its databases."""
        return postgres_engine(settings) if self.kind == "postgres" else mysql_engine(settings)

    def create_database(self) -> DatabaseSettings:
        """Make an empty database and return how to reach it."""
        made = replace(self.settings, dbname=f"test_{os.getpid()}_{next(_numbers)}")
        self._administrate(f"CREATE DATABASE {made.dbname}")
        return made

    def drop_database(self, settings: DatabaseSettings) -> None:
        """Remove a database, whoever is connected to it."""
        self._administrate(f"DROP DATABASE {settings.dbname}{' WITH (FORCE)' if self.kind == 'postgres' else ''}")

    @contextmanager
    def database(self) -> Iterator[DatabaseSettings]:
        """Lend an empty database."""
        made = self.create_database()
        try:
            yield made
        finally:
            self.drop_database(made)

    def _administrate(self, statement: str) -> None:
        engine = self.engine(replace(self.settings, pool_size=1))
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql(statement)
        finally:
            engine.dispose()


class OfferedServer(DatabaseServer):
    """A server that runs already.

    Parameters
    ----------
    url
        As SQLAlchemy writes it; of PostgreSQL, MySQL or MariaDB.
    """

    def __init__(self, url: str) -> None:
        made = sa.make_url(url)
        self.kind = "postgres" if made.get_backend_name() == "postgresql" else "mysql"  # type: ignore[misc]  # one class for both
        port = made.port or (5432 if self.kind == "postgres" else 3306)
        database = made.database or ("postgres" if self.kind == "postgres" else "mysql")
        self.settings = DatabaseSettings(made.host or "127.0.0.1", port, made.username or "", str(made.password or ""), database)


class _OwnServer(DatabaseServer):
    """A server with a data folder of its own, as a child of this process.

    Parameters
    ----------
    durable
        Acknowledged transactions survive the death of the machine as well, as in production: for figures.
    certificate
        Lets it speak TLS.
    """

    def __init__(self, *, durable: bool = False, certificate: Certificate | None = None) -> None:
        self._durable = durable
        self._tls: tuple[Path, ...] = ()
        self._folder = Path(tempfile.mkdtemp(prefix=f"modelbox-{self.kind}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self._folder.with_suffix(".log")
        try:
            if os.getuid() == 0:
                shutil.chown(self._folder, "nobody", "nogroup")
            self._initialise()
            if certificate is not None:
                self._tls = tuple(map(self._own, certificate.files))
            self.settings = self._settings(free_port())
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process, which runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it on the port it had and wait until it answers; what a kill left behind may take a moment to go."""
        deadline_s = time.monotonic() + _START_S
        while self._process is None:
            started = self._run(self._command(self.settings.port))
            while started.poll() is None:
                if self._answers():
                    self._process = started
                    return
                if time.monotonic() > deadline_s:
                    started.kill()
                    started.wait(_STOP_S)
                    break
                time.sleep(0.02)
            if time.monotonic() > deadline_s:
                raise AssertionError(f"The server of the tests did not start:\n{self._log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop it in order: what is under way is undone, all else is kept."""
        self._end(self._STOP)

    def kill(self) -> None:
        """End it with SIGKILL, as a machine does that runs out of memory."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it in order, then start it on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it for good and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._log.unlink(missing_ok=True)

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(with_signal)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)

    def _answers(self) -> bool:
        engine = self.engine(replace(self.settings, pool_size=1, connect_timeout_s=2))
        try:
            engine.connect().close()
        except OperationalError:
            return False
        finally:
            engine.dispose()
        return True

    def _run(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Start a program as a user without rights, and have it end with us, however we end."""
        nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []

        def start() -> "subprocess.Popen[bytes]":
            with self._log.open("ab") as log:
                return subprocess.Popen(  # noqa: S603  (programs of the distribution, arguments of ours)
                    ["setpriv", *nobody, f"--pdeathsig={self._STOP.name.removeprefix('SIG')}", *command],  # noqa: S607
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    start_new_session=True,  # Ctrl-C at a test is not for the server
                )

        # The kernel counts the death of the thread that started it as ours: so that thread has to live as long as we do.
        return _starter().submit(start).result()

    def _own(self, file: Path) -> Path:
        """Return a copy of a file that is the server's alone, as it wants its key to be."""
        copy = self._folder / file.name
        shutil.copyfile(file, copy)
        copy.chmod(0o600)
        if os.getuid() == 0:
            shutil.chown(copy, "nobody", "nogroup")
        return copy

    def _finish(self, command: Sequence[str]) -> None:
        """Run a program to its end."""
        if self._run(command).wait(_START_S):
            raise AssertionError(f"{command[0]} failed:\n{self._log.read_text(errors='replace')[-4000:]}")

    _STOP: ClassVar[signal.Signals]

    @abstractmethod
    def _initialise(self) -> None:
        """Fill the data folder."""

    @abstractmethod
    def _settings(self, port: int) -> DatabaseSettings:
        """Return how to reach it."""

    @abstractmethod
    def _command(self, port: int) -> Sequence[str]:
        """Return the program and its arguments."""


class PostgresServer(_OwnServer):
    """PostgreSQL of Debian; acknowledged transactions survive its death, not that of the machine."""

    kind = "postgres"
    _STOP = signal.SIGINT

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(_PASSWORD)
        password.chmod(0o644)
        self._finish(
            [
                _program("initdb"),
                *("--pgdata", str(self._folder / "data"), "--username", _USER, "--pwfile", str(password)),
                *("--auth", "password", "--no-sync", "--no-instructions", "--encoding", "UTF8", "--locale", "C.UTF-8"),
            ]
        )

    def _settings(self, port: int) -> DatabaseSettings:
        return DatabaseSettings("127.0.0.1", port, _USER, _PASSWORD, "postgres")

    def _command(self, port: int) -> Sequence[str]:
        fast: tuple[str, ...] = ("max_wal_size=2GB", "checkpoint_timeout=1h", "autovacuum_naptime=10min")
        if not self._durable:
            fast += ("fsync=off", "full_page_writes=off")
        options = ("listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={self._folder}", "max_connections=200", *fast)
        if self._tls:
            options += ("ssl=on", f"ssl_cert_file={self._tls[0]}", f"ssl_key_file={self._tls[1]}")
        return [_program("postgres"), "-D", str(self._folder / "data"), *(part for option in options for part in ("-c", option))]


class MariaDbServer(_OwnServer):
    """MariaDB of Debian; acknowledged transactions survive its death, not that of the machine.

    Parameters
    ----------
    as_mysql
        Call itself MySQL 5.7, so that SQLAlchemy takes its way for MySQL: no RETURNING, and grouping must name every column.
    durable, certificate
        As of every server of tests.
    """

    kind = "mysql"
    _STOP = signal.SIGTERM

    def __init__(self, *, as_mysql: bool = False, durable: bool = False, certificate: Certificate | None = None) -> None:
        self._as_mysql = as_mysql
        super().__init__(durable=durable, certificate=certificate)

    def _initialise(self) -> None:
        # The program is told where to find its own files, or it would believe the folder that it is started in.
        self._finish(
            [
                _program("mariadb-install-db"),
                *("--no-defaults", f"--datadir={self._folder / 'data'}", "--auth-root-authentication-method=normal", "--skip-test-db"),
                *("--skip-name-resolve", "--innodb-flush-method=nosync", "--innodb-log-file-size=32M"),
            ]
        )
        users = f"CREATE USER IF NOT EXISTS '{_USER}'@'%' IDENTIFIED BY '{_PASSWORD}'; GRANT ALL ON *.* TO '{_USER}'@'%' WITH GRANT OPTION;"
        init = self._folder / "init.sql"
        init.write_text(users.replace("; ", ";\n"))
        init.chmod(0o644)

    def _settings(self, port: int) -> DatabaseSettings:
        return DatabaseSettings("127.0.0.1", port, _USER, _PASSWORD, "mysql")

    def _command(self, port: int) -> Sequence[str]:
        fast: tuple[str, ...] = ("innodb-log-file-size=256M", "innodb-buffer-pool-size=256M")
        if not self._durable:
            fast = (
                "innodb-flush-method=nosync",
                "innodb-flush-log-at-trx-commit=2",
                "innodb-log-file-size=32M",
                "innodb-buffer-pool-size=64M",
            )
        named: tuple[str, ...] = ("version=5.7.19-log",) if self._as_mysql else ()
        named += (f"ssl-cert={self._tls[0]}", f"ssl-key={self._tls[1]}") if self._tls else ()
        options = (
            *(
                "no-defaults",
                f"datadir={self._folder / 'data'}",
                f"socket={self._folder / 'socket'}",
                f"init-file={self._folder / 'init.sql'}",
            ),
            *(
                "bind-address=127.0.0.1",
                f"port={port}",
                "skip-name-resolve",
                "performance-schema=off",
                "max-connections=200",
                *fast,
                *named,
            ),
        )
        return [_program("mariadbd"), *(f"--{option}" for option in options)]


@cache
def postgres_server() -> DatabaseServer:
    """Return the PostgreSQL of this process."""
    offered = os.environ.get("MODELBOX_TEST_PG_URL")
    return OfferedServer(offered) if offered else _kept(PostgresServer())


@cache
def mariadb_server() -> DatabaseServer:
    """Return the MariaDB of this process, or the MySQL that was offered."""
    offered = os.environ.get("MODELBOX_TEST_MYSQL_URL")
    return OfferedServer(offered) if offered else _kept(MariaDbServer())


@cache
def mariadb_as_mysql_server() -> DatabaseServer:
    """Return a MariaDB of this process that calls itself MySQL."""
    return _kept(MariaDbServer(as_mysql=True))


def _kept(server: _OwnServer) -> DatabaseServer:
    atexit.register(server.close)
    return server


@cache
def _starter() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "modelbox-test-servers")


def _program(name: str) -> str:
    folders = [os.environ.get("PATH", ""), "/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise AssertionError(f"The tests need {name}: 'make test' installs it, or 'apt-get install postgresql mariadb-server'.")
    return found
