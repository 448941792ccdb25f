"""Servers that share a store know each other."""

from datetime import UTC, datetime, timedelta

import pytest

from modelbox.entities.records import MemberRecord
from modelbox_server.service.context import Caller
from modelbox_server.service.members import MembersService
from modelbox_server.storage.interfaces import MetadataStore
from modelbox_server.storage.metadata.memory import MemoryMetadataStore

CALLER = Caller("alice", "http")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 25, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def store() -> MetadataStore:
    return MemoryMetadataStore()


def test_each_sees_all_that_said_something_lately(store: MetadataStore) -> None:
    clock = Clock()
    one, other = MembersService(store, clock), MembersService(store, clock)
    first = one.join("a", rpc_addr="a:1", http_addr="a:1")
    second = other.join("b", rpc_addr="b:1", http_addr="b:1", mode="blob")
    assert [member.id for member in one.list(CALLER).items] == [first.id]
    one.beat()
    other.beat()
    assert {member.id for member in one.list(CALLER).items} == {first.id, second.id}
    assert {(member.http_addr, member.mode) for member in other.list(CALLER).items} == {("a:1", "all"), ("b:1", "blob")}
    clock.now += timedelta(seconds=11)
    assert [member.id for member in one.list(CALLER).items] == [first.id]
    other.beat()
    assert len(one.list(CALLER).items) == 2
    other.leave()
    assert [member.id for member in one.list(CALLER).items] == [first.id]


def test_those_that_were_silent_for_long_are_forgotten(store: MetadataStore) -> None:
    clock = Clock()
    gone, here = MembersService(store, clock), MembersService(store, clock)
    gone.join("a", rpc_addr="a:1", http_addr="a:1")
    here.join("b", rpc_addr="b:1", http_addr="b:1")
    gone.beat()
    clock.now += timedelta(minutes=11)
    here.beat()
    assert here.forget_the_gone() == 1
    with store.read() as tx:
        assert [record.host_name for record in tx.select(MemberRecord)] == ["b"]


def test_the_same_addresses_are_the_same_member(store: MetadataStore) -> None:
    """As after a restart."""
    clock = Clock()
    for _ in range(2):
        service = MembersService(store, clock)
        service.join("a", rpc_addr="a:1", http_addr="a:1")
        service.beat()
    assert len(service.list(CALLER).items) == 1
