"""The metrics store in a SQLite file keeps the promises of every metrics store, and those of a file that many processes share."""

import math
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from modelbox.entities.series import ValueKind
from modelbox.errors import SchemaTooNew, StorageError, StorageFull, StorageUnavailable
from modelbox.wire.messages import SummaryColumns
from modelbox_server.storage.interfaces import BatchKey, MetricsStore
from modelbox_server.storage.metrics.chunks import PackedChunk, opened, packed
from modelbox_server.storage.metrics.columns import Points
from modelbox_server.storage.metrics.database import Database
from modelbox_server.storage.metrics.sqlite import _APPLICATION_ID, _STEPS, SqliteMetricsStore
from modelbox_server.testing.metrics_suite import LOSS, OTHER, RUN, MetricsStoreSuite, Reopen, block, floats, points_of


class TestSqliteMetrics(MetricsStoreSuite):
    @pytest.fixture
    def store(self, path: Path) -> Iterator[MetricsStore]:
        store = SqliteMetricsStore(path)
        yield store
        store.close()

    @pytest.fixture
    def reopen(self, path: Path) -> Iterator[Reopen]:
        opened: list[MetricsStore] = []

        def again(store: MetricsStore) -> MetricsStore:
            store.close()
            opened.append(SqliteMetricsStore(path))
            return opened[-1]

        yield again
        for store in opened:
            store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "équipe #1?" / "metrics.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteMetricsStore]:
    store = SqliteMetricsStore(path)
    yield store
    store.close()


def sql(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        with connection:
            return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


class TestOverviewsInTheFile:
    """An overview says what the rows of its series say, so nothing depends on its being there."""

    OBJECTS = [f"{number:040x}" for number in range(4)]  # noqa: RUF012

    def fill(self, store: SqliteMetricsStore) -> None:
        for object_id in self.OBJECTS[:3]:
            store.append([block(floats(1.0, math.nan), object_id=object_id), block(floats(2.0), key="b", object_id=object_id)])
        store.append([block([(0, 0, "x")], key="b", object_id=self.OBJECTS[2], kind=ValueKind.TEXT)])

    def test_each_object_has_one_and_it_goes_with_the_series(self, store: SqliteMetricsStore, path: Path) -> None:
        self.fill(store)
        assert sql(path, "SELECT object_id FROM overviews ORDER BY 1") == [(object_id,) for object_id in self.OBJECTS[:3]]
        store.delete(self.OBJECTS[1:])
        assert sql(path, "SELECT object_id FROM overviews") == [(self.OBJECTS[0],)]

    def test_objects_without_one_are_looked_up_series_by_series(self, store: SqliteMetricsStore, path: Path) -> None:
        self.fill(store)
        with_all = repr(store.summary_columns(self.OBJECTS))
        for object_id in self.OBJECTS[1:3]:
            sql(path, "DELETE FROM overviews WHERE object_id = ?", object_id)
            assert repr(store.summary_columns(self.OBJECTS)) == with_all
        store.append([block(floats(3.0, start=9), object_id=self.OBJECTS[1])])
        assert len(sql(path, "SELECT 1 FROM overviews")) == 2
        assert store.summary_columns(self.OBJECTS[1:2]).last == [2.0, 3.0]

    def test_an_object_of_very_many_series_has_none(self, store: SqliteMetricsStore, path: Path) -> None:
        store.append([block(floats(float(number)), key=f"k{number:04}") for number in range(1001)])
        assert sql(path, "SELECT count(*) FROM overviews") == [(0,)]
        assert store.summary_columns([RUN]).last == [float(number) for number in range(1001)]

    def test_a_file_from_before_has_its_tables_too(self, path: Path) -> None:
        Database(path, _STEPS[:2], _APPLICATION_ID).close()
        totals = "1, 0, 0, 0, 5.0, 1, 5.0, 5.0, 5.0"
        sql(path, f"INSERT INTO series VALUES (1, ?, 'loss', 0, {totals})", RUN)
        store = SqliteMetricsStore(path)
        assert store.summary_columns([OTHER, RUN]) == SummaryColumns(
            row=[1], key=["loss"], count=[1], last_step=[0], last=[5.0], min=[5.0], max=[5.0], mean=[5.0]
        )
        assert sql(path, "SELECT object_id FROM overviews") == [(RUN,)]
        store.close()


class TestChunksInTheFile:
    def test_one_point_at_a_time_ends_as_few_chunks(self, store: SqliteMetricsStore, path: Path) -> None:
        for index in range(1500):
            store.append([block(floats(float(index), start=index))])
        (count, least) = sql(path, "SELECT count(*), min(points) FROM chunks")[0]
        assert isinstance(count, int)
        assert count <= 6, least
        assert points_of(store.read([RUN])[0])[-1][2] == 1499.0

    def test_a_typical_point_takes_less_than_twelve_bytes_of_the_file(self, store: SqliteMetricsStore, path: Path) -> None:
        dice = np.random.default_rng(1)
        clocks_us = 1_700_000_000_000_000 + np.cumsum(dice.integers(1500, 2600, 100_000))
        losses = np.exp(-np.arange(100_000) / 30_000) + dice.normal(0, 0.02, 100_000)
        points = list(zip(range(100_000), clocks_us.tolist(), losses.tolist(), strict=True))
        for start in range(0, len(points), 1000):
            store.append([block(points[start : start + 1000])])
        store.close()
        assert path.stat().st_size / len(points) < 12

    def test_series_that_were_logged_together_share_their_steps_and_clocks(self, store: SqliteMetricsStore) -> None:
        for start in range(0, 3000, 500):
            points = floats(*range(500), start=start)
            store.append([block(points, key="a"), block(points[:3], key="ab"), block(points, key="b")])
        store.append([block([(-1, 0, -1.0)], key="late"), block([(9000, 0, 1.0), (8999, 0, 2.0)], key="b")])
        a, between, b, late = store.read([RUN])
        assert (len(a), len(between), len(b), len(late)) == (3000, 18, 3002, 1)
        assert points_of(b)[:3000] == points_of(a)
        assert points_of(b)[3000:] == [(8999, 0, 2.0), (9000, 0, 1.0)]
        store.append([block(floats(0.0, 1.0), key="late"), block(floats(0.0, 1.0), key="later")])
        *_, late, later = store.read([RUN])
        assert (points_of(late), points_of(later)) == ([(-1, 0, -1.0), *floats(0.0, 1.0)], floats(0.0, 1.0))
        assert a.steps is not b.steps
        same, _ = store.read([RUN], ["a", "ab"])
        (one, two) = store.read([RUN], ["a", "later"])
        assert points_of(same) == points_of(one) == points_of(a)
        assert points_of(two) == points_of(later)

    def test_large_texts_are_spread_over_chunks(self, store: SqliteMetricsStore, path: Path) -> None:
        texts = [(index, 0, f"{index}" * 1_000_000) for index in range(12)]
        store.append([block(texts, kind=ValueKind.TEXT)])
        assert sql(path, "SELECT count(*) > 1 FROM chunks") == [(1,)]
        assert points_of(store.read([RUN])[0]) == texts

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            ("UPDATE chunks SET data = zeroblob(length(data)) WHERE start > 0", r"chunk \d+ cannot be read, its checksum"),
            ("UPDATE chunks SET data = substr(data, 1, 5)", "chunk 0 cannot be read, it has only 5 bytes"),
            ("UPDATE chunks SET data = (SELECT data FROM chunks ORDER BY id DESC LIMIT 1)", "chunk 0 is not the one that belongs there"),
            ("DELETE FROM chunks WHERE id = (SELECT min(id) FROM chunks)", "some of its chunks are missing"),
            ("DELETE FROM chunks WHERE id = (SELECT max(id) FROM chunks)", "some of its chunks are missing"),
            ("DELETE FROM chunks", "some of its chunks are missing"),
        ],
    )
    def test_damage_is_an_error_that_names_the_series_never_wrong_points(
        self, store: SqliteMetricsStore, path: Path, damage: str, message: str
    ) -> None:
        store.append([block(floats(*range(20_000)))])
        sql(path, damage)
        with pytest.raises(StorageError, match=f"'{LOSS}' of {RUN} in metrics.db is damaged: {message}"):
            store.read([RUN])

    def test_a_reader_of_some_steps_unpacks_no_other_chunks(
        self, store: SqliteMetricsStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.append([block(floats(*range(100_000)))])
        asked: list[int] = []

        def counted(data: bytes) -> PackedChunk:
            chunk = opened(data)
            asked.append(int(chunk.points().steps[0]))
            return chunk

        monkeypatch.setattr("modelbox_server.storage.metrics.tails.opened", counted)
        (found,) = store.read([RUN], steps=(50_000, 50_100))
        assert (len(found), len(asked)) == (101, 1)
        assert asked[0] <= 50_000

    def test_chunks_from_before_steps_stood_beside_them_are_read(self, path: Path) -> None:
        before = Database(path, _STEPS[:1], _APPLICATION_ID)
        with before.write() as connection:
            connection.execute("INSERT INTO series VALUES (1, ?, ?, 0, 3, 0, 2, 7, 2.0, 3, 0.0, 2.0, 1.0)", (RUN, LOSS))
            points = Points(ValueKind.FLOAT, np.arange(3), np.full(3, 7), np.arange(3.0))
            connection.execute("INSERT INTO chunks VALUES (?, 0, 3, ?)", (1 << 24, packed(points)))
        before.close()
        store = SqliteMetricsStore(path)
        assert [points_of(one) for one in store.read([RUN], steps=(1, 2))] == [[(1, 7, 1.0), (2, 7, 2.0)]]
        store.append([block(floats(3.0, start=3))])
        assert [value for _, _, value in points_of(store.read([RUN])[0])] == [0.0, 1.0, 2.0, 3.0]
        store.close()


class TestTheFile:
    def test_it_and_its_logs_are_for_the_owner_only(self, store: SqliteMetricsStore, path: Path) -> None:
        store.append([block(floats(1.0))])
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == dict.fromkeys(
            ["metrics.db", "metrics.db-wal", "metrics.db-shm"], 0o600
        )

    def test_commits_are_flushed_to_the_disk(self, store: SqliteMetricsStore) -> None:
        with store._database.write() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def test_a_newer_schema_is_refused(self, store: SqliteMetricsStore, path: Path) -> None:
        store.close()
        sql(path, "PRAGMA user_version = 99")
        with pytest.raises(SchemaTooNew, match=r"metrics\.db has schema 99"):
            SqliteMetricsStore(path)

    def test_a_database_of_another_program_is_refused_and_left_alone(self, path: Path) -> None:
        path.parent.mkdir()
        sql(path, "CREATE TABLE precious (x)")
        before = path.read_bytes()
        with pytest.raises(StorageError, match="another program"):
            SqliteMetricsStore(path)
        assert path.read_bytes() == before

    def test_a_file_that_is_no_database_is_refused_and_left_alone(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"precious" * 1000)
        with pytest.raises(StorageError, match="damaged"):
            SqliteMetricsStore(path)
        assert path.read_bytes() == b"precious" * 1000

    def test_a_folder_in_its_place_is_an_error_with_a_sentence(self, path: Path) -> None:
        path.mkdir(parents=True)
        with pytest.raises(StorageUnavailable, match=r"metrics\.db cannot be used"):
            SqliteMetricsStore(path)

    def test_a_full_disk_undoes_the_batch_and_passes(self, store: SqliteMetricsStore) -> None:
        store.append([block(floats(1.0))])
        with store._database.write() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        assert store._database._writer is not None
        store._database._writer.execute(f"PRAGMA max_page_count = {pages}")
        batch = BatchKey("c", 1, b"d" * 32)
        big = [block(floats(*(index**0.5 for index in range(50_000))), key="big")]
        with pytest.raises(StorageFull, match=r"No space is left for metrics\.db"):
            store.append(big, batch)
        assert [found.key for found in store.read([RUN])] == [LOSS]
        store._database._writer.execute(f"PRAGMA max_page_count = {pages * 100}")
        assert not store.append(big, batch).duplicate

    def test_a_step_that_fails_leaves_the_schema_before_it(self, path: Path) -> None:
        Database(path, [["CREATE TABLE one (x)"]], 7).close()
        with pytest.raises(StorageError):
            Database(path, [["CREATE TABLE one (x)"], ["CREATE TABLE two (x)", "no SQL"]], 7)
        assert sql(path, "SELECT name FROM sqlite_master") == [("one",)]
        Database(path, [["CREATE TABLE one (x)"], ["CREATE TABLE two (x)"]], 7).close()
        assert sql(path, "PRAGMA user_version") == [(2,)]


# A child waits for the go file, so that all begin at once, then appends its batches and prints the number of each that was acknowledged.
WRITER = """
import sys, time
from pathlib import Path
from modelbox_server.storage.interfaces import BatchKey
from modelbox_server.storage.metrics.sqlite import SqliteMetricsStore
from modelbox_server.testing.metrics_suite import block, floats

path, client, batches = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
while not path.parent.with_name("go").exists():
    time.sleep(0.001)
store = SqliteMetricsStore(path)
for number in range(batches):
    points = floats(*[float(number)] * 5, start=number * 5)
    store.append([block(points, key="shared"), block(points, key=client)], BatchKey(client, number, b"d" * 32))
    print(number, flush=True)
store.close()
"""


def writer(path: Path, client: str, batches: int) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(path), client, str(batches)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


class TestManyProcesses:
    def test_eight_that_begin_at_once_lose_nothing_while_one_reads(self, path: Path) -> None:
        """The file does not exist yet: they race to make it, too."""
        children = [writer(path, f"client {index}", 40) for index in range(8)]
        path.parent.with_name("go").touch()
        store = SqliteMetricsStore(path)
        seen = 0
        while any(child.poll() is None for child in children):
            found = store.read([RUN], ["shared"])
            count = len(found[0]) if found else 0
            assert count >= seen
            assert count % 5 == 0
            seen = count
            time.sleep(0.02)
        assert [child.communicate()[0].split()[-1] for child in children] == ["39"] * 8
        assert [child.returncode for child in children] == [0] * 8
        assert {found.key: len(found) for found in store.read([RUN])} == {
            "shared": 8 * 40 * 5,
            **{f"client {index}": 40 * 5 for index in range(8)},
        }
        store.close()

    def test_what_was_acknowledged_before_a_kill_is_there_exactly_once(self, path: Path) -> None:
        """A child is killed at moments that we cannot choose; its next life sends its last batches again."""
        path.parent.with_name("go").touch()
        acknowledged = -1
        for pause_s in (0.0, 0.01, 0.05, 0.1, 0.2, 0.31):
            child = writer(path, "client", 100_000)
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(pause_s)
            child.send_signal(signal.SIGKILL)
            lines = child.communicate()[0].splitlines()
            acknowledged = max([acknowledged, *(int(line) for line in lines[:-1] if line)])
            store = SqliteMetricsStore(path)
            for found in store.read([RUN]):
                numbers = [value for _, _, value in points_of(found)]
                batches = len(numbers) // 5
                assert batches > acknowledged
                assert numbers == [float(number) for number in range(batches) for _ in range(5)]
            assert len(store.read([RUN])) == 2
            store.close()
        assert acknowledged > 0

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # Python 3.12 and later say so, rightly
    def test_a_forked_child_and_its_parent_go_on_together(self, store: SqliteMetricsStore) -> None:
        store.append([block(floats(0.0))])
        store.read([RUN])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for index in range(50):
                    store.append([block(floats(1.0, start=index))])
                status = 0 if store.read([RUN]) else 2
            finally:
                os._exit(status)
        for index in range(50):
            store.append([block(floats(2.0, start=index))])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        store.append([block(floats(3.0))])
        assert len(store.read([RUN])[0]) == 102
