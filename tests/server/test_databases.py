"""Database servers are reached patiently, lost with a sentence, and found again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from modelbox.errors import ModelBoxError, StorageError, StorageUnavailable
from modelbox_server.storage.databases.mysql import mysql_error
from modelbox_server.storage.databases.postgres import postgres_error
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.testing.certificates import make_certificate
from modelbox_server.testing.engines import DatabaseServer, MariaDbServer, PostgresServer
from modelbox_server.testing.jupyter_process import free_port


@pytest.fixture
def settings(database_server: DatabaseServer) -> Iterator[DatabaseSettings]:
    with database_server.database() as made:
        yield made


def refusal(server: DatabaseServer, settings: DatabaseSettings, statement: str = "SELECT 1") -> ModelBoxError:
    """Return the error of a statement in our words."""
    engine = server.engine(settings)
    try:
        with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()
    return (postgres_error if server.kind == "postgres" else mysql_error)(caught.value.orig, settings)


def test_a_server_that_is_away_is_named_with_what_to_do(database_server: DatabaseServer) -> None:
    error = refusal(database_server, replace(database_server.settings, port=free_port()))
    assert isinstance(error, StorageUnavailable)
    assert error.retry_after_s
    assert "cannot be reached" in error.detail
    assert "calls work again as soon as it answers" in error.detail


def test_no_password_is_shown(database_server: DatabaseServer) -> None:
    wrong = replace(database_server.settings, password="hunter2-ö", dbname="postgres")
    error = refusal(database_server, wrong)
    assert isinstance(error, StorageUnavailable)
    engine = database_server.engine(wrong)
    shown = [repr(wrong), str(wrong), repr(engine), str(engine.url), error.detail, repr(error.__context__)]
    assert not [text for text in shown if "hunter2" in text]


def test_a_database_that_is_missing_is_named(database_server: DatabaseServer) -> None:
    error = refusal(database_server, replace(database_server.settings, dbname="nowhere"))
    assert isinstance(error, StorageUnavailable)
    assert "nowhere" in error.detail


def test_a_mistake_of_ours_is_not_called_an_absence(database_server: DatabaseServer, settings: DatabaseSettings) -> None:
    error = refusal(database_server, settings, "SELECT x FROM nothing")
    assert isinstance(error, StorageError)
    assert error.retry_after_s is None


def test_waiting_for_a_connection_ends(database_server: DatabaseServer, settings: DatabaseSettings) -> None:
    engine = database_server.engine(replace(settings, pool_size=2, pool_wait_s=0.2))
    with engine.connect(), engine.connect(), pytest.raises(PoolTimeoutError):
        engine.connect()
    engine.dispose()


def test_a_statement_that_takes_too_long_is_ended(database_server: DatabaseServer, settings: DatabaseSettings) -> None:
    sleep = "SELECT pg_sleep(60)" if database_server.kind == "postgres" else "SELECT sleep(60)"
    error = refusal(database_server, replace(settings, statement_timeout_s=1), sleep)
    assert isinstance(error, StorageUnavailable)
    assert "busy" in error.detail


def test_waiting_for_locks_ends(database_server: DatabaseServer, settings: DatabaseSettings) -> None:
    settings = replace(settings, lock_wait_s=1)
    engine = database_server.engine(settings)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x int PRIMARY KEY)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    with engine.begin() as holder:
        holder.exec_driver_sql("UPDATE t SET x = 1 WHERE x = 1" if database_server.kind == "postgres" else "SELECT x FROM t FOR UPDATE")
        error = refusal(database_server, settings, "DELETE FROM t")
    assert isinstance(error, StorageUnavailable)
    assert "busy with other transactions" in error.detail
    engine.dispose()


@pytest.mark.parametrize("kind", [PostgresServer, MariaDbServer])
def test_a_pool_gets_well_when_its_server_is_back(kind: type[PostgresServer | MariaDbServer]) -> None:
    with kind() as server:
        engine = server.engine(replace(server.settings, pool_size=3))

        def answer() -> object:
            with engine.connect() as connection:
                return connection.exec_driver_sql("SELECT 1").scalar()

        with engine.connect(), engine.connect():
            assert answer() == 1
        for away in (server.stop, server.kill):
            away()
            with pytest.raises(DBAPIError):
                answer()
            server.start()
            assert [answer() for _ in range(4)] == [1, 1, 1, 1]
        engine.dispose()


@pytest.mark.parametrize("kind", [PostgresServer, MariaDbServer])
def test_connections_are_encrypted_as_far_as_was_asked(kind: type[PostgresServer | MariaDbServer], tmp_path: Path) -> None:
    certificate, other = make_certificate(tmp_path), make_certificate(tmp_path, "other")
    with kind(certificate=certificate) as server:
        trusting = replace(server.settings, ca_file=str(certificate.certificate))

        def is_encrypted(settings: DatabaseSettings) -> bool:
            postgres = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            mysql = "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
            engine = server.engine(settings)
            try:
                with engine.connect() as connection:
                    return bool(connection.exec_driver_sql(postgres if server.kind == "postgres" else mysql).scalar())
            finally:
                engine.dispose()

        assert not is_encrypted(replace(trusting, tls="disable"))
        assert is_encrypted(replace(server.settings, tls="prefer"))
        assert is_encrypted(replace(server.settings, tls="require"))
        assert is_encrypted(replace(trusting, tls="verify-ca"))
        assert is_encrypted(replace(trusting, tls="verify-full"))
        stranger = replace(server.settings, tls="verify-full", ca_file=str(other.certificate))
        assert isinstance(refusal(server, stranger), StorageUnavailable)


def test_what_must_be_encrypted_never_goes_in_the_clear(database_server: DatabaseServer) -> None:
    """The servers of these tests speak no TLS, unless they are told to."""
    assert isinstance(refusal(database_server, replace(database_server.settings, tls="require")), StorageUnavailable)


def test_a_server_of_tests_ends_with_the_tests() -> None:
    """Also when they are killed."""
    program = (
        "import sys; from modelbox_server.testing.engines import PostgresServer; server = PostgresServer();"
        "print(server.pid, server._folder, flush=True); sys.stdin.read()"
    )
    tests = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    pid, folder = tests.stdout.readline().split()
    server = int(pid)
    tests.send_signal(signal.SIGKILL)
    tests.communicate()
    deadline_s = time.monotonic() + 60
    while _is_alive(server):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    # Nobody was left who could have removed it.
    shutil.rmtree(folder)
    Path(f"{folder}.log").unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  (a file of the kernel)
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
