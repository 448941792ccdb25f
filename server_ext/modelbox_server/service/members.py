"""Members: the servers that share a store. Each says every few seconds that it is there; who did not for a while is none any more."""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from modelbox.entities.ids import member_id
from modelbox.entities.records import MemberRecord
from modelbox.errors import ModelBoxError
from modelbox.wire.messages import MAX_PAGE, Member, Page
from modelbox_server.service.context import Caller, Clock
from modelbox_server.service.info import program_version
from modelbox_server.storage.interfaces import Condition, MetadataStore

__all__ = ["BEAT_S", "MembersService"]

BEAT_S: Final = 2.0
"""How often a member says that it is there."""

_GONE_AFTER = timedelta(seconds=10)
_FORGOTTEN_AFTER = timedelta(minutes=10)


class MembersService:
    """Know the servers of a store. A program that uses it in process is no member: nobody can call it.

    Parameters
    ----------
    metadata
        Where members find each other.
    clock
        What they tell their last beat by: the clocks of servers should not differ by more than some seconds.
    """

    def __init__(self, metadata: MetadataStore, clock: Clock) -> None:
        self._metadata = metadata
        self._clock = clock
        self._lock = threading.Lock()
        self._mine: dict[str, MemberRecord] = {}

    def join(self, host_name: str, *, rpc_addr: str, http_addr: str, mode: str = "all") -> Member:
        """Make this server known under its addresses from the next :meth:`beat` on."""
        at = self._clock()
        record = MemberRecord(
            id=member_id(host_name, rpc_addr, http_addr),
            host_name=host_name,
            rpc_addr=rpc_addr,
            http_addr=http_addr,
            mode=mode,
            version=program_version(),
            started_at=at,
            seen_at=at,
        )
        with self._lock:
            self._mine[record.id] = record
        return _shown(record)

    def beat(self) -> None:
        """Say that the members of this process are there.

        Raises
        ------
        StorageUnavailable
            The store is away; the next beat makes up for it.
        """
        for record in self._of_this_process():
            with self._metadata.write(record.id) as tx:
                tx.put([record])

    def leave(self) -> None:
        """Take the members of this process off the list, as far as the store can be reached; time does it otherwise."""
        with self._lock:
            records, self._mine = list(self._mine.values()), {}
        for record in records:
            try:
                with self._metadata.write(record.id) as tx:
                    tx.delete(MemberRecord, [Condition("id", "eq", record.id)])
            except ModelBoxError:
                return

    def forget_the_gone(self) -> int:
        """Remove members that were silent for minutes, and return how many."""
        with self._metadata.write() as tx:
            return tx.delete(MemberRecord, [Condition("seen_at", "lt", self._clock() - _FORGOTTEN_AFTER)])

    def list(self, caller: Caller) -> Page[Member]:
        """Return the servers that are there, by id."""
        del caller
        with self._metadata.read() as tx:
            found = tx.select(MemberRecord, [Condition("seen_at", "ge", self._clock() - _GONE_AFTER)], limit=MAX_PAGE)
        alive = {record.id: record for record in found}
        alive |= {record.id: record for record in self._of_this_process()}
        return Page(items=[_shown(alive[id_]) for id_ in sorted(alive)])

    def _of_this_process(self) -> Sequence[MemberRecord]:
        at: datetime = self._clock()
        with self._lock:
            return [msgspec.structs.replace(record, seen_at=at) for record in self._mine.values()]


def _shown(record: MemberRecord) -> Member:
    return Member(
        id=record.id,
        host_name=record.host_name,
        rpc_addr=record.rpc_addr,
        http_addr=record.http_addr,
        mode=record.mode,
        version=record.version,
        started_at=record.started_at,
        seen_at=record.seen_at,
    )
