"""Agents register as often as they like, and are known by when they were heard of."""

from datetime import UTC, datetime, timedelta

import pytest

from modelbox.errors import InvalidName, NotFound
from modelbox.wire.messages import AgentRegister, PageQuery
from modelbox_server.service.context import Caller
from modelbox_server.wiring import ephemeral_services


def test_an_agent_that_registers_again_is_the_same_and_was_heard_of_now(caller: Caller) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    services = ephemeral_services(clock=lambda: at)
    asked = AgentRegister(name="bench", host_name="h", ip_addr="10.0.0.1", arch="arm64")
    first = services.agents.register(caller, asked)
    other = services.agents.register(caller, AgentRegister(name="bench", host_name="h2")).item
    at += timedelta(seconds=5)
    again = services.agents.register(caller, asked)
    assert (first.exists, again.exists, again.item.id, again.item.created_at) == (False, True, first.item.id, first.item.created_at)
    assert [agent.id for agent in services.agents.list(caller, PageQuery()).items] == [first.item.id, other.id]
    at += timedelta(seconds=5)
    assert services.agents.heartbeat(caller, other.id).seen_at == at
    assert [agent.id for agent in services.agents.list(caller, PageQuery()).items] == [other.id, first.item.id]
    services.close()


def test_an_agent_needs_a_name_and_a_machine_and_a_heartbeat_an_agent(caller: Caller) -> None:
    services = ephemeral_services()
    with pytest.raises(InvalidName, match="agent name"):
        services.agents.register(caller, AgentRegister(name="", host_name="h"))
    with pytest.raises(InvalidName, match="host name"):
        services.agents.register(caller, AgentRegister(name="a", host_name=""))
    with pytest.raises(NotFound, match="register it first"):
        services.agents.heartbeat(caller, "nobody")
    services.close()
