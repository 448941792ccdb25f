"""How fast metadata stores are at what a table of 1,000 runs with 20 parameters each needs, beside the bare driver of SQLite."""

import json
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

from modelbox.entities.records import ExperimentRecord, MetadataEntry
from modelbox_server.storage.interfaces import Condition, MetadataStore, Order
from modelbox_server.storage.metadata.memory import MemoryMetadataStore
from modelbox_server.storage.metadata.sqlite import SqliteMetadataStore
from modelbox_server.testing.bench import best_s, print_row
from modelbox_server.testing.metadata_samples import change, entry, experiment

KEYS = 20
VALUES = (3, 2.5, "adam", True, {"layers": [64, 64]})
EXPERIMENTS = [experiment(f"run {number}", created_s=number) for number in range(1000)]
ENTRIES = [entry(record.id, f"params.p{key}", VALUES[key % len(VALUES)]) for record in EXPERIMENTS for key in range(KEYS)]
IDS = [record.id for record in EXPERIMENTS]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "modelbox.db"
        opened_s = best_s(lambda: SqliteMetadataStore(path).close(), runs=3)
        print_row("metadata.integrated.open_again", ms=opened_s * 1e3)
        for store in (SqliteMetadataStore(path), MemoryMetadataStore()):
            fill(store)
            measure(store, best_s(lambda: bare_read(path)))
            store.close()


def fill(store: MetadataStore) -> None:
    """Store all experiments and their metadata, and print how long that took."""

    def insert() -> None:
        with store.write() as tx:
            for record in EXPERIMENTS:
                tx.insert(record)

    def put() -> None:
        with store.write() as tx:
            tx.put(ENTRIES)

    print_row(f"metadata.{store.name}.insert_experiment", us=best_s(insert, runs=1) / len(EXPERIMENTS) * 1e6)
    print_row(f"metadata.{store.name}.put_entry", us=best_s(put, runs=1) / len(ENTRIES) * 1e6)


def bare_read(path: Path) -> None:
    """Fetch the same rows as tuples with the driver alone: no store on SQLite can be faster."""
    connection = sqlite3.connect(path)
    query = "SELECT object_id, key, value, updated_at FROM metadata WHERE object_id IN (SELECT value FROM json_each(?)) ORDER BY 1, 2"
    connection.execute(query, [json.dumps(IDS)]).fetchall()
    connection.close()


def measure(store: MetadataStore, bare_s: float) -> None:
    """Print a row for each question that faces ask often."""
    everything = [Condition("object_id", "in", IDS)]

    def ask(question: Callable[[MetadataStore], object]) -> float:
        return best_s(lambda: question(store), runs=20)

    def read_all(store: MetadataStore) -> int:
        with store.read() as tx:
            return len(tx.select(MetadataEntry, everything))

    def one(store: MetadataStore) -> object:
        with store.read() as tx:
            return tx.get(ExperimentRecord, IDS[0])

    def newest(store: MetadataStore) -> object:
        with store.read() as tx:
            return tx.select(ExperimentRecord, order=Order("created_at", descending=True), limit=100)

    def update(store: MetadataStore) -> None:
        with store.write() as tx:
            tx.put([entry(IDS[0], "params.p0", 4)])
            tx.insert(change(IDS[0]))

    read_s = best_s(lambda: read_all(store))
    print_row(f"metadata.{store.name}.read_{len(ENTRIES)}_entries", ms=read_s * 1e3, times_bare_sqlite=read_s / bare_s)
    print_row(f"metadata.{store.name}.get_experiment", us=ask(one) * 1e6)
    print_row(f"metadata.{store.name}.newest_100_experiments", ms=ask(newest) * 1e3)
    print_row(f"metadata.{store.name}.durable_update", ms=ask(update) * 1e3)


if __name__ == "__main__":
    main()
