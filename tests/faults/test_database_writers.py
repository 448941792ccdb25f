"""Several servers write to one database at once: nothing is lost, doubled, or seen out of order."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from modelbox.entities.records import ChangeEvent, EventRecord, ExperimentRecord, MetadataEntry
from modelbox_server.storage.interfaces import Condition, MetadataStore, Order
from modelbox_server.storage.migrations.steps import METADATA_STEPS
from modelbox_server.testing.database_writer import SHARED, instructions, open_metadata
from modelbox_server.testing.engines import DatabaseServer

WRITERS = 4


class Watcher(threading.Thread):
    """Reads change events after the last one that it saw, as a client does, while others write."""

    def __init__(self, store: MetadataStore) -> None:
        super().__init__(daemon=True)
        self.store = store
        self.seen: list[int] = []
        self.finished = threading.Event()

    def run(self) -> None:
        while not self.finished.is_set():
            self.look()
            time.sleep(0.001)
        self.look()

    def look(self) -> None:
        last = self.seen[-1] if self.seen else 0
        with self.store.read() as tx:
            self.seen += [event.seq for event in tx.select(ChangeEvent, [Condition("seq", "gt", last)], order=Order("seq"))]


class Writer:
    """A process of :mod:`modelbox_server.testing.database_writer`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def tell(self, line: str) -> None:
        self._stdin.write(line)
        self._stdin.flush()

    def line(self) -> str:
        return self._stdout.readline()


def _writer(running: ExitStack, name: str, count: int) -> Writer:
    command = [sys.executable, "-m", "modelbox_server.testing.database_writer", name, str(count)]
    process = running.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    running.callback(process.kill)
    return Writer(process)


def test_four_processes_write_at_once(database_server: DatabaseServer, rounds: Callable[[int, int], int]) -> None:
    count = rounds(15, 300)
    with database_server.database() as settings, ExitStack() as running:
        # The database is empty: all of them find that its tables are missing.
        writers = [_writer(running, f"writer-{number}", count) for number in range(WRITERS)]
        for writer in writers:
            writer.tell(instructions(database_server.kind, settings))
        for writer in writers:
            assert writer.line() == "ready\n"
        for writer in writers:
            writer.tell("\n")
        store = open_metadata(database_server.kind, settings)
        running.callback(store.close)
        watcher = Watcher(store)
        watcher.start()
        answers = [json.loads(writer.line()) for writer in writers]
        watcher.finished.set()
        watcher.join()

        made = [object_id for answer in answers for object_id in answer["made"]]
        assert len(set(made)) == len(made) == WRITERS * count
        assert sum(answer["done"] for answer in answers) == count
        assert sum(answer["refused"] for answer in answers) == (WRITERS - 1) * count
        with store.read() as tx:
            (shared,) = tx.select(ExperimentRecord, [Condition("name", "eq", SHARED)])
            assert {record.id for record in tx.select(ExperimentRecord)} == {*made, shared.id}
            assert len(tx.select(EventRecord)) == count
            document = {entry.key: entry.value for entry in tx.select(MetadataEntry, [Condition("object_id", "eq", shared.id)])}
            assert document == {"count": WRITERS * count} | {f"writer-{w}.{n}": n for w in range(WRITERS) for n in range(count)}
            assert tx.documents([shared.id]) == [document]
            written = [event.seq for event in tx.select(ChangeEvent, order=Order("seq"))]
        assert watcher.seen == written
        assert len(store.migrations.status().applied) == len(METADATA_STEPS)  # they migrated once
