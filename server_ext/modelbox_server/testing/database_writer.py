"""A process that writes to the services over a shared database: for tests with many of them at once.

``python -m modelbox_server.testing.database_writer NAME ROUNDS`` reads a line of JSON from standard input, ``{"kind": …, "settings": …}``,
prints ``ready``, waits for one more line, so that all begin together, then writes, and prints as JSON what was acknowledged.
"""

import json
import sys
from contextlib import closing
from dataclasses import asdict
from typing import Any

from modelbox.entities.ids import salted_id
from modelbox.entities.records import MetadataEntry
from modelbox.errors import AlreadyDone, StorageUnavailable
from modelbox.wire.messages import EventCreate, ExperimentCreate, MetadataDocument
from modelbox_server.service.context import Caller
from modelbox_server.storage.blobs.memory import MemoryBlobStore
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.metadata.mysql import MysqlMetadataStore
from modelbox_server.storage.metadata.postgres import PostgresMetadataStore
from modelbox_server.storage.metadata.servers import ServerMetadataStore
from modelbox_server.storage.metrics.memory import MemoryMetricsStore
from modelbox_server.testing.metadata_samples import change, entry
from modelbox_server.wiring import Services, services_over

__all__ = ["SHARED", "database_services", "instructions", "main", "open_metadata"]

SHARED = "shared"
"""Name of the experiment that all writers write to, and key of the entry that all count in."""


def open_metadata(kind: str, settings: DatabaseSettings) -> ServerMetadataStore:
    """Open the metadata store of a database."""
    return PostgresMetadataStore(settings) if kind == "postgres" else MysqlMetadataStore(settings)


def database_services(kind: str, settings: DatabaseSettings) -> Services:
    """Return services with the metadata in a database, and all else in memory."""
    return services_over(open_metadata(kind, settings), MemoryMetricsStore(), MemoryBlobStore())


def instructions(kind: str, settings: DatabaseSettings) -> str:
    """Return the line that a writer wants."""
    return json.dumps({"kind": kind, "settings": asdict(settings)}) + "\n"


def main(arguments: list[str]) -> None:
    """Open, write, tell."""
    name, rounds = arguments[0], int(arguments[1])
    order = json.loads(sys.stdin.readline())
    print("ready", flush=True)  # noqa: T201 - what the test waits for
    sys.stdin.readline()
    with closing(database_services(order["kind"], DatabaseSettings(**order["settings"]))) as services:
        print(json.dumps(_write(services, name, rounds)))  # noqa: T201 - the answer of this program


def _write(services: Services, name: str, rounds: int) -> dict[str, Any]:
    caller = Caller(name, "embedded")
    shared = services.experiments.create(caller, ExperimentCreate(name=SHARED)).item.id
    made: list[str] = []
    done = refused = 0
    for number in range(rounds):
        mine = ExperimentCreate(name=f"{name}-{number}", namespace=f"space {number % 3}", metadata={"params.lr": 0.1, "params.by": name})
        made.append(services.experiments.create(caller, mine).item.id)
        # All writers ask for the same thing, under one key: one of them does it.
        once = Caller(name, "embedded", operation=salted_id("operation", str(number)))
        try:
            services.events.log(once, shared, EventCreate(name=f"event {number}", source=name))
            done += 1
        except AlreadyDone:
            refused += 1
        services.metadata.update(caller, shared, MetadataDocument(metadata={f"{name}.{number}": number}))
        _count(services, shared)
    return {"made": made, "done": done, "refused": refused}


def _count(services: Services, shared: str) -> None:
    """Read, add one, write: what loses updates wherever writers do not wait for each other."""
    while True:
        try:
            with services.stores.metadata.write(shared) as tx:
                before = tx.get(MetadataEntry, shared, "count")
                tx.put([entry(shared, "count", 1 if before is None else before.value + 1)])
                tx.insert(change(shared))
        except StorageUnavailable:
            continue
        return


if __name__ == "__main__":
    main(sys.argv[1:])
