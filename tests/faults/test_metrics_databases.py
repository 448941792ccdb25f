"""Points in database servers are there exactly once, whatever dies: writers, the database, or the order in which many write at once."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from modelbox.errors import StorageUnavailable
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.interfaces import BatchKey
from modelbox_server.storage.metrics.mysql import MysqlMetricsStore
from modelbox_server.storage.metrics.postgres import PostgresMetricsStore
from modelbox_server.storage.metrics.server import ServerMetricsStore
from modelbox_server.testing.engines import DatabaseServer, MariaDbServer, PostgresServer, mariadb_server, postgres_server
from modelbox_server.testing.metrics_suite import OTHER, RUN, block, floats, points_of

STORES: dict[str, Callable[[DatabaseSettings], ServerMetricsStore]] = {"postgres": PostgresMetricsStore, "mysql": MysqlMetricsStore}
DIGEST = b"d" * 32


@pytest.fixture(params=["postgres", "mysql"])
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    return postgres_server() if request.param == "postgres" else mariadb_server()


@pytest.fixture
def settings(server: DatabaseServer) -> Iterator[DatabaseSettings]:
    with server.database() as settings:
        yield settings


@pytest.fixture
def kind(server: DatabaseServer) -> str:
    return server.kind


# A child waits for the go file, so that all begin at once, then appends its batches and prints the number of each that was acknowledged.
WRITER = """
import json, sys, time
from pathlib import Path
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.interfaces import BatchKey
from modelbox_server.storage.metrics.mysql import MysqlMetricsStore
from modelbox_server.storage.metrics.postgres import PostgresMetricsStore
from modelbox_server.testing.metrics_suite import block, floats

go, kind, settings, client, batches = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), sys.argv[4], int(sys.argv[5])
print("ready", flush=True)
while not go.exists():
    time.sleep(0.001)
store = {"postgres": PostgresMetricsStore, "mysql": MysqlMetricsStore}[kind](DatabaseSettings(**settings))
for number in range(batches):
    points = floats(*[float(number)] * 5, start=number * 5)
    store.append([block(points, key="shared"), block(points, key=client)], BatchKey(client, number, b"d" * 32))
    print(number, flush=True)
store.close()
"""


def writer(go: Path, kind: str, settings: DatabaseSettings, client: str, batches: int) -> subprocess.Popen[str]:
    arguments = [str(go), kind, json.dumps(asdict(settings)), client, str(batches)]
    child = subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_processes_that_begin_at_once_lose_nothing_and_a_follower_misses_nothing(
    kind: str, settings: DatabaseSettings, tmp_path: Path
) -> None:
    """The database is empty: they race to make its tables, too."""
    go = tmp_path / "go"
    children = [writer(go, kind, settings, f"client {index}", 25) for index in range(4)]
    go.touch()
    store = STORES[kind](settings)
    seen: list[float] = []
    while True:
        is_over = all(child.poll() is not None for child in children)
        found = store.read([RUN], ["shared"], skip={(RUN, "shared"): len(seen)})
        seen += [value for one in found for _, _, value in points_of(one) if isinstance(value, float)]
        if is_over:
            break
        time.sleep(0.01)
    assert [child.communicate()[0].split()[-1] for child in children] == ["24"] * 4
    assert sorted(seen) == sorted([float(number) for number in range(25) for _ in range(5 * 4)])
    assert {one.key: one.count for one in store.summaries([RUN])} == {"shared": 500, **{f"client {index}": 125 for index in range(4)}}
    store.close()


def test_what_a_killed_writer_was_told_is_there_exactly_once(kind: str, settings: DatabaseSettings, tmp_path: Path) -> None:
    """It is killed at moments that we cannot choose; its next life sends its last batches again."""
    go = tmp_path / "go"
    go.touch()
    acknowledged = -1
    store = STORES[kind](settings)
    for pause_s in (0.0, 0.04, 0.11):
        child = writer(go, kind, settings, "client", 100_000)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(pause_s)
        child.send_signal(signal.SIGKILL)
        lines = child.communicate()[0].splitlines()
        acknowledged = max([acknowledged, *(int(line) for line in lines[:-1] if line)])
        for found in store.read([RUN]):
            numbers = [value for _, _, value in points_of(found)]
            assert len(numbers) // 5 > acknowledged
            assert numbers == [float(number) for number in range(len(numbers) // 5) for _ in range(5)]
        assert len(store.read([RUN])) == 2
    store.close()


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_database_that_is_killed_and_restarted_loses_and_doubles_nothing(kind: str) -> None:
    """Writers send what was not acknowledged again, as clients do; the store is opened while the database is away."""
    server = PostgresServer() if kind == "postgres" else MariaDbServer()
    with server, server.database() as settings:
        server.kill()
        stores = [STORES[kind](settings) for _ in range(2)]  # two servers of ours
        with pytest.raises(StorageUnavailable):
            stores[0].check()
        server.start()
        batches, done, refused = 30, [0, 0, 0], [0]

        def write(client: int) -> None:
            for number in range(batches):
                points = floats(*[float(number)] * 4, start=number * 4)
                while True:
                    try:
                        # Whichever server takes it: the same batch may be sent to another one than before.
                        store = random.choice(stores)  # noqa: S311
                        store.append(
                            [block(points, key="shared"), block(points, key=f"own {client}")], BatchKey(f"{client}", number, DIGEST)
                        )
                        break
                    except StorageUnavailable:
                        refused[0] += 1
                        time.sleep(0.05)
                done[client] = number + 1
                time.sleep(0.01)

        with ThreadPoolExecutor(3) as pool:
            writers = [pool.submit(write, client) for client in range(3)]
            for end in (server.kill, server.stop):
                goal = sum(done) + 12
                while sum(done) < goal and not all(one.done() for one in writers):
                    time.sleep(0.005)
                end()
                time.sleep(0.1)
                server.start()
            for one in writers:
                one.result(timeout=120)
        assert refused[0] > 0
        for store in stores:
            assert {one.key: one.count for one in store.summaries([RUN])} == {"shared": 360, "own 0": 120, "own 1": 120, "own 2": 120}
            for found in store.read([RUN]):
                each = 4 if found.key != "shared" else 12
                assert [value for _, _, value in points_of(found)] == [float(number) for number in range(batches) for _ in range(each)]
            store.close()


def test_the_same_batch_sent_to_two_servers_at_once_acts_once(kind: str, settings: DatabaseSettings) -> None:
    stores = [STORES[kind](settings) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        for number in range(25):
            together = threading.Barrier(4)

            def send(at: int, number: int = number, together: threading.Barrier = together) -> tuple[int, bool]:
                together.wait()
                outcome = stores[at % 2].append([block(floats(1.0, 2.0, start=number * 2))], BatchKey("client", number, DIGEST))
                return outcome.points, outcome.duplicate

            assert sorted(pool.map(send, range(4))) == [(2, False), (2, True), (2, True), (2, True)]
    assert [len(one) for one in stores[0].read([RUN])] == [50]
    for store in stores:
        store.close()


def test_appends_to_the_same_objects_in_any_order_wait_for_each_other_and_never_in_a_circle(kind: str, settings: DatabaseSettings) -> None:
    """Existing and new objects, existing and new series, while some are deleted."""
    stores = [STORES[kind](settings) for _ in range(2)]
    objects = [RUN, OTHER, "c" * 40, "d" * 40]

    def work(seed: int) -> int:
        dice = random.Random(seed)  # noqa: S311
        written = 0
        for number in range(20):
            chosen = dice.sample(objects, 3)
            written += 2 * len(chosen)
            blocks = [block(floats(1.0, 2.0), object_id=object_id, key=dice.choice("abcdef")) for object_id in chosen]
            stores[seed % 2].append(blocks, BatchKey(f"{seed}", number, DIGEST))
        return written

    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(work, seed) for seed in range(4)]
        deleted = sum(stores[0].delete(random.sample(objects, 2)) for _ in range(10))
        written = sum(one.result(timeout=120) for one in writers)
    left = stores[1].read(objects)
    assert deleted + sum(map(len, left)) == written
    assert [one.count for one in stores[1].summaries(objects)] == [len(one) for one in left]
    for store in stores:
        store.close()


class Interrupted(Exception):
    """The program ended here."""


def test_making_the_tables_may_be_interrupted_at_every_statement(kind: str, settings: DatabaseSettings) -> None:
    """The step stays pending, whoever comes next completes it; what is written then is kept by further starts."""
    interruptions = 0
    while True:
        left = iter(range(interruptions))

        def interrupt(*_: object, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Interrupted

        event.listen(sa.Engine, "before_cursor_execute", interrupt)
        try:
            store = STORES[kind](settings)
            break
        except Interrupted:
            interruptions += 1
        finally:
            event.remove(sa.Engine, "before_cursor_execute", interrupt)
    assert interruptions > 8
    assert store.migrations.status().pending == ()
    store.append([block(floats(1.0, 2.0))], BatchKey("c", 1, DIGEST))
    store.close()
    again = STORES[kind](settings)
    assert [points_of(one) for one in again.read([RUN])] == [floats(1.0, 2.0)]
    again.close()
