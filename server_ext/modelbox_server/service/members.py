"""Members: the servers that share a store."""

import threading

from modelbox.entities.ids import member_id
from modelbox.wire.messages import Member, Page
from modelbox_server.service.context import Caller

__all__ = ["MembersService"]


class MembersService:
    """Know where the store can be reached. A program that uses it in process is no member: nobody can call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._members: dict[str, Member] = {}

    def join(self, host_name: str, *, rpc_addr: str, http_addr: str) -> Member:
        """Make this server known under its addresses."""
        member = Member(id=member_id(host_name, rpc_addr, http_addr), host_name=host_name, rpc_addr=rpc_addr, http_addr=http_addr)
        with self._lock:
            self._members[member.id] = member
        return member

    def list(self, caller: Caller) -> Page[Member]:
        """Return the servers by id."""
        del caller
        with self._lock:
            return Page(items=sorted(self._members.values(), key=lambda member: member.id))
