"""What SQLite does in its own way: many processes, forks, file modes, and the errors of its driver."""

import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection

from modelbox.entities.own_keys import LONG_METADATA
from modelbox.entities.records import ChangeEvent, EventRecord, ExperimentRecord, Json, MetadataEntry
from modelbox.errors import SchemaTooNew, StorageError, StorageFull, StorageUnavailable
from modelbox_server.storage.metadata.sqlite import SqliteMetadataStore
from modelbox_server.storage.migrations.steps import METADATA_STEPS
from modelbox_server.testing.metadata_samples import entry, experiment
from modelbox_server.testing.metadata_writer import SHARED


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "modelbox.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteMetadataStore]:
    store = SqliteMetadataStore(path)
    yield store
    store.close()


def _let_begin(writer: subprocess.Popen[str]) -> None:
    assert writer.stdin is not None
    writer.stdin.write("\n")
    writer.stdin.flush()


def test_eight_processes_start_on_nothing_and_write_while_another_lists(path: Path) -> None:
    """Nobody sees "database is locked", the schema is made once, and no update is lost."""
    # The ninth begins when the list is open, and has more to do: the others may have ended by then.
    counts = [*[12] * 8, 60]
    program = [sys.executable, "-m", "modelbox_server.testing.metadata_writer", str(path)]
    started = [
        subprocess.Popen(
            [*program, f"w{number}", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for number, count in enumerate(counts)
    ]
    time.sleep(1.0)  # their imports done, all of them wait for the line
    *at_once, late = started
    for process in at_once:
        _let_begin(process)
    lists = 0
    store = SqliteMetadataStore(path)
    _let_begin(late)
    while any(process.poll() is None for process in started):
        with store.read() as tx:
            made, changes = tx.count(ExperimentRecord), tx.count(ChangeEvent)
            counted = tx.get(MetadataEntry, *SHARED)
            assert made == changes == (0 if counted is None else counted.value)
        lists += 1
    for process in started:
        output, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
        print("slowest transaction", output.strip(), "s")
    with store.read() as tx:
        assert tx.count(ExperimentRecord) == sum(counts)
        assert tx.count(MetadataEntry) == sum(counts) * 20 + 1
        seqs = [event.seq for event in tx.select(ChangeEvent)]
        entries: dict[str, dict[str, Json]] = {}
        for found in tx.select(MetadataEntry):
            entries.setdefault(found.object_id, {})[found.key] = found.value
        assert tx.documents(list(entries), without=LONG_METADATA) == list(entries.values())
    assert len(set(seqs)) == sum(counts)
    assert lists > 0
    assert len(store.migrations.status().applied) == len(METADATA_STEPS)
    store.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_and_its_parent_write_on(store: SqliteMetadataStore, path: Path) -> None:
    """Also when other threads are in the middle of transactions while the process forks."""
    with store.write() as tx:
        tx.put([entry("o", "count", 0)])
    stop = threading.Event()

    def count(rounds: int | None) -> int:
        done = 0
        while not stop.is_set() if rounds is None else done < rounds:
            with store.write() as tx:
                (before,) = tx.select(MetadataEntry)
                tx.put([entry("o", "count", before.value + 1)])
            done += 1
        return done

    context = multiprocessing.get_context("fork")
    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(count, None) for _ in range(3)]
        time.sleep(0.05)
        children = [context.Process(target=count, args=(10,)) for _ in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join(60)
        stop.set()
        counted = sum(future.result() for future in busy)
    assert [child.exitcode for child in children] == [0, 0, 0, 0]
    with store.read() as tx:
        assert tx.select(MetadataEntry)[0].value == counted + 40
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_no_connection_is_open_across_a_fork(store: SqliteMetadataStore, path: Path) -> None:
    """The kernel would give the child no locks, while SQLite in the child believes that it has them."""
    store.check()

    def open_files() -> list[str]:
        links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
        return [target for link in links if os.path.lexists(link) and (target := os.readlink(link)).startswith(str(path))]  # noqa: PTH115

    assert open_files()
    child = multiprocessing.get_context("fork").Process(target=lambda: os._exit(len(open_files())))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    store.check()


def test_a_fork_inside_a_transaction_does_not_wait_for_itself(store: SqliteMetadataStore) -> None:
    with store.write() as tx:
        tx.insert(experiment("mine"))
        begun_s = time.monotonic()
        if (pid := os.fork()) == 0:
            os._exit(0)
        assert time.monotonic() - begun_s < 2
        os.waitpid(pid, 0)
    with store.read() as tx:
        assert tx.count(ExperimentRecord) == 1


def test_only_the_user_can_read_the_files(store: SqliteMetadataStore, path: Path) -> None:
    with store.write() as tx:
        tx.insert(experiment())
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"modelbox.db": 0o600, "modelbox.db-wal": 0o600, "modelbox.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_commits_wait_for_the_disk(store: SqliteMetadataStore) -> None:
    """Write-ahead log with full synchronisation: what is acknowledged survives a power cut."""
    with store.write() as tx:
        connection = tx._connection
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_writer_that_waits_too_long_is_told_to_try_again(path: Path) -> None:
    mine, theirs = SqliteMetadataStore(path, wait_s=0.2), SqliteMetadataStore(path, wait_s=0.2)
    with mine.write() as tx:
        tx.insert(experiment())
        for waiting in (theirs, mine):  # another process's lock, and another thread's
            with ThreadPoolExecutor(1) as pool, pytest.raises(StorageUnavailable) as caught:
                pool.submit(_write, waiting).result()
            assert caught.value.retry_after_s is not None
        with theirs.read() as reading:
            assert reading.count(ExperimentRecord) == 0
    _write(theirs)
    mine.close()
    theirs.close()


@pytest.mark.parametrize("moment", ["begin", "before_cursor_execute", "after_cursor_execute", "commit", "checkin"])
def test_ctrl_c_at_any_moment_leaves_no_lock_behind(path: Path, moment: str) -> None:
    """Not even while the traceback is kept, as IPython keeps the last one: it refers to cursors, and those to the lock."""
    mine, theirs = SqliteMetadataStore(path, wait_s=0.5), SqliteMetadataStore(path, wait_s=0.5)
    kept: list[BaseException] = []
    left = written = 0

    def interrupt(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    event.listen(mine._engine, moment, interrupt)
    for left in range(1, 6):
        try:
            with mine.write() as tx:
                tx.put([entry("o", "k"), entry("o", "l")])
                tx.select(MetadataEntry)
                tx.insert(experiment())
        except KeyboardInterrupt as error:
            kept.append(error)
        for store in (theirs, mine):
            left = 0
            _write(store)
            written += 1
    assert kept
    with theirs.read() as tx:
        assert written <= tx.count(ExperimentRecord) <= written + 5
    mine.close()
    theirs.close()


def test_a_full_disk_is_named_and_harms_nothing(store: SqliteMetadataStore) -> None:
    """SQLite then undoes the transaction by itself: nothing that follows in the block may be kept without what went before."""
    kept = _write(store)

    def write_too_much() -> None:
        with store.write() as tx:
            tx.insert(experiment("before"))
            driver = tx._connection.connection.dbapi_connection
            assert driver is not None
            _limit_pages(driver, 1)
            with pytest.raises(StorageFull):
                tx.put([entry("o", str(number), "x" * 4000) for number in range(100)])
            _limit_pages(driver, 2**31 - 2)
            with pytest.raises(StorageFull):
                tx.insert(experiment("after"))

    with pytest.raises(StorageFull):
        write_too_much()
    with store.read() as tx:
        assert tx.select(ExperimentRecord) == [kept]
        assert tx.count(MetadataEntry) == 0
    store.check()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "modelbox.db"
    path.write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(StorageError, match=r"no SQLite database"):
        SqliteMetadataStore(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"choose a folder"):
        SqliteMetadataStore(tmp_path / "file" / "modelbox.db")


def test_a_deleted_table_is_an_error_of_ours(store: SqliteMetadataStore, path: Path) -> None:
    """A driver's exception never leaves the store, and stays readable as the cause."""
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE events")
    other.close()
    with store.read() as tx, pytest.raises(StorageError, match="events") as caught:
        tx.select(EventRecord)
    assert caught.value.__cause__ is not None


def test_a_row_that_another_program_wrote_is_an_error_of_ours(store: SqliteMetadataStore, path: Path) -> None:
    with store.write() as tx:
        tx.put([entry("o", "k")])
    other = sqlite3.connect(path)
    other.execute("UPDATE metadata SET value = '{'")
    other.commit()
    other.close()
    with store.read() as tx, pytest.raises(StorageError, match="metadata"):
        tx.select(MetadataEntry)


def test_the_documents_of_an_older_database_are_made_when_it_is_opened(store: SqliteMetadataStore, path: Path) -> None:
    """They are the same as those that are made with every change, byte for byte."""
    with store.write() as tx:
        tx.put([entry("o", "k", [1.0, 'q"']), entry("o", 'a"b', None), entry("o", LONG_METADATA[0]), entry("p", LONG_METADATA[1])])
        tx.put([entry("huge", "k", "x" * 100_000)])
    store.close()
    with sqlite3.connect(path) as other:
        before = other.execute("SELECT * FROM documents").fetchall()
        other.executescript("DROP TABLE documents; DELETE FROM modelbox_migrations WHERE number >= 3")
    other.close()
    SqliteMetadataStore(path).close()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT * FROM documents").fetchall() == before == [("o", '{"a\\"b":null,"k":[1.0,"q\\""]}')]
    other.close()


def test_what_a_program_without_documents_changes_is_seen(store: SqliteMetadataStore, path: Path) -> None:
    """It may have opened the file before documents came."""
    with store.write() as tx:
        tx.put([entry("o", "k"), entry("p", "k"), entry("q", "k")])
    other = sqlite3.connect(path)
    other.execute("UPDATE metadata SET value = '2' WHERE object_id = 'o'")
    other.execute("DELETE FROM metadata WHERE object_id = 'p'")
    other.execute("INSERT INTO metadata VALUES ('q', 'l', '3', 0)")
    other.commit()
    other.close()
    with store.read() as tx:
        assert tx.documents(["o", "p", "q"], without=LONG_METADATA) == [{"k": 2}, {}, {"k": 1, "l": 3}]


def test_an_older_program_refuses_a_newer_database(store: SqliteMetadataStore, path: Path) -> None:
    store.close()
    other = sqlite3.connect(path)
    other.execute("INSERT INTO modelbox_migrations VALUES (?, 'from the future', 0)", (len(METADATA_STEPS) + 1,))
    other.commit()
    other.close()
    with pytest.raises(SchemaTooNew, match=r"'from the future'.*upgrade modelbox-jupyter"):
        SqliteMetadataStore(path)


def _write(store: SqliteMetadataStore) -> ExperimentRecord:
    with store.write() as tx:
        return tx.insert(experiment())


def _limit_pages(driver: DBAPIConnection, pages: int) -> None:
    cursor = driver.cursor()
    cursor.execute(f"PRAGMA max_page_count={pages}")
    cursor.close()
