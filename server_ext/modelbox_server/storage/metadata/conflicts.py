"""The sentences with which every metadata store refuses a change."""

from modelbox.entities.records import Record
from modelbox.errors import Conflict, StorageError, shortened
from modelbox_server.storage.schema import TABLES

__all__ = ["already_there", "read_only"]


def already_there(record: Record, *, same_key: bool) -> Conflict:
    """Return the error for a record whose primary key, or whose values in a unique set, another record has."""
    table = TABLES[type(record)]
    sets = [table.kind.KEY] if same_key or not table.uniques else [unique.fields for unique in table.uniques]
    shown = " or ".join(" and ".join(f"{field} {shortened(getattr(record, field), 60)}" for field in fields) for fields in sets)
    return Conflict(f"The table {table.name} has a record with {shown} already: use other values, or change that record.")


def read_only() -> StorageError:
    """Return the error for a change inside a block that was opened for reading."""
    return StorageError("This transaction was opened for reading and changes nothing: open one for writing.")
