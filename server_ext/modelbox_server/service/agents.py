"""Agents: programs on machines of their own that do actions."""

import msgspec

from modelbox.entities.checks import checked_label
from modelbox.entities.ids import agent_id
from modelbox.entities.names import checked_name
from modelbox.entities.records import AgentRecord
from modelbox.errors import NotFound, PermissionDenied, shortened
from modelbox.wire.messages import AgentRegister, Created, Page, PageQuery
from modelbox_server.service.again import again
from modelbox_server.service.context import Caller, Clock
from modelbox_server.service.guarded import Records
from modelbox_server.service.paging import page_of
from modelbox_server.storage.interfaces import Order

__all__ = ["AgentsService"]


class AgentsService:
    """Know which agents there are, and when they were heard of last."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    @again
    def register(self, caller: Caller, request: AgentRegister) -> Created[AgentRecord]:
        """Make an agent known, or find the one of this name on this machine."""
        _require_writer(caller)
        at = self._clock()
        name = checked_name(request.name, "agent name", field="name")
        host_name = checked_name(request.host_name, "host name", field="host_name")
        ip_addr = checked_label(request.ip_addr, "IP address", field="ip_addr")
        arch = checked_label(request.arch, "architecture", field="arch")
        record_id = agent_id(name, host_name, ip_addr, arch)
        with self._records.write(caller, record_id) as tx:
            known = tx.get(AgentRecord, record_id)
            record = (
                AgentRecord(id=record_id, name=name, host_name=host_name, ip_addr=ip_addr, arch=arch, created_at=at, seen_at=at)
                if known is None
                else msgspec.structs.replace(known, seen_at=at)
            )
            tx.put([record])
        return Created(item=record, exists=known is not None)

    @again
    def heartbeat(self, caller: Caller, record_id: str) -> AgentRecord:
        """Note that an agent lives."""
        _require_writer(caller)
        with self._records.write(caller, record_id) as tx:
            known = tx.get(AgentRecord, record_id)
            if known is None:
                raise NotFound(f"There is no agent {shortened(record_id, 60)}: register it first.", field="agent_id")
            record = msgspec.structs.replace(known, seen_at=self._clock())
            tx.put([record])
        return record

    def list(self, caller: Caller, query: PageQuery) -> Page[AgentRecord]:
        """Return agents, those heard of most recently first."""
        with self._records.read(caller) as tx:
            return page_of(tx, AgentRecord, [], order=Order("seen_at", descending=True), limit=query.limit, page_token=query.page_token)


def _require_writer(caller: Caller) -> None:
    """Return unless the caller may write nowhere: agents belong to nobody, but whoever only reads changes nothing at all."""
    if not caller.access.writable:
        raise PermissionDenied("You may write nowhere here, and so have no agents: ask an admin for the role writer on a namespace.")
