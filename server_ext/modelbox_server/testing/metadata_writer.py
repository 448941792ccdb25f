"""A process that opens a SQLite metadata store and writes: for tests with many of them at once.

``python -m modelbox_server.testing.metadata_writer FILE NAME EXPERIMENTS`` waits for a line on standard input, so that all begin together,
then opens the store, counts its experiments up in one shared record and prints how long its slowest transaction took in seconds.
"""

import sys
import time
from pathlib import Path

from modelbox.entities.records import MetadataEntry
from modelbox_server.storage.metadata.sqlite import SqliteMetadataStore
from modelbox_server.testing.metadata_samples import change, entry, experiment

__all__ = ["SHARED", "main"]

SHARED = ("shared", "count")
"""The key of the metadata entry that all writers count in."""


def main(arguments: list[str]) -> None:
    """Open, count, print."""
    path, name, experiments = Path(arguments[0]), arguments[1], int(arguments[2])
    sys.stdin.readline()
    store = SqliteMetadataStore(path)
    slowest_s = 0.0
    for number in range(experiments):
        begun_s = time.monotonic()
        with store.write() as tx:
            before = tx.get(MetadataEntry, *SHARED)
            made = tx.insert(experiment(f"{name}-{number}"))
            tx.put([entry(made.id, f"params.{key}", key) for key in range(20)])
            tx.put([entry(*SHARED, 1 if before is None else before.value + 1)])
            tx.insert(change(made.id))
        slowest_s = max(slowest_s, time.monotonic() - begun_s)
    store.close()
    print(slowest_s)  # noqa: T201 - the answer of this program


if __name__ == "__main__":
    main(sys.argv[1:])
