"""Calls that have an effect once: those that bring a key, as the operations of a client's journal do."""

from datetime import datetime

from modelbox.entities.checks import checked_id
from modelbox.entities.records import DoneOperation
from modelbox.errors import AlreadyDone
from modelbox_server.service.context import Caller
from modelbox_server.storage.interfaces import MetadataTransaction

__all__ = ["once"]


def once(tx: MetadataTransaction, caller: Caller, at: datetime) -> None:
    """Remember the key of a call in the transaction of its effect.

    Raises
    ------
    AlreadyDone
        The key came before.
    """
    if not caller.operation:
        return
    key = checked_id(caller.operation, "idempotency key", field="Idempotency-Key")
    if tx.get(DoneOperation, key) is not None:
        raise AlreadyDone(f"The call {key} was carried out before, and nothing was done now: give every call a key of its own.")
    tx.insert(DoneOperation(key=key, at=at))
