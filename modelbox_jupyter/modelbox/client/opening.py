"""What a connection consists of: a store, a journal for it, a sender between the two, and what earlier processes left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

from modelbox.client.catchup import CatchUp
from modelbox.client.discovery import Where, find_offline, find_store, open_store
from modelbox.client.lazy import OfflineTransport
from modelbox.client.sender import Sender
from modelbox.client.session import Session
from modelbox.client.spool import Durability, SpooledJournal, SpoolOptions, spool_of

__all__ = ["Mode", "open_session"]

Mode: TypeAlias = Literal["online", "offline"]
"""Whether a connection sends what is logged, or leaves it in its folder."""


def open_session(
    address: str | os.PathLike[str] | None, *, token: str | None, strict: bool, durability: Durability, mode: Mode | None
) -> Session:
    """Return a session; parameters are those of :class:`modelbox.ModelBox`."""
    offline = find_offline(address, mode)
    if offline is not None:
        return _offline_session(offline, strict=strict, durability="disk" if durability == "disk" else "process")
    found = find_store(address, token)
    transport = open_store(found)
    if durability == "memory":
        return Session(transport, found.where, strict=strict)
    root, options = spool_of(found.where), SpoolOptions(durability)
    sender = Sender(transport, make_journal=lambda: SpooledJournal(root, options))
    catch_up = CatchUp(transport, root)
    session = Session(transport, found.where, strict=strict, sender=sender, catch_up=catch_up)
    catch_up.start()
    return session


def _offline_session(where: Where, *, strict: bool, durability: Literal["process", "disk"]) -> Session:
    root, options = Path(where.address), SpoolOptions(durability, sends=False)
    sender = Sender(None, make_journal=lambda: SpooledJournal(root, options))
    return Session(OfflineTransport(root), where, strict=strict, sender=sender)
