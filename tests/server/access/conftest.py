"""Three people over one store: alice and bob of the group vision, and eve of no group."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelbox_server.service.context import Caller
from modelbox_server.service.people import Person
from modelbox_server.wiring import Services, ephemeral_services, local_services


@dataclass
class World:
    """Services, and callers as the server would make them now."""

    services: Services
    operator: Caller

    def caller(self, name: str, *groups: str) -> Caller:
        """Return a person with what they may do at this moment."""
        self.services.people.forget()
        return self.services.people.caller(Person(name, groups), face="http", address="192.0.2.1")

    @property
    def alice(self) -> Caller:
        return self.caller("alice", "vision")

    @property
    def bob(self) -> Caller:
        return self.caller("bob", "vision")

    @property
    def eve(self) -> Caller:
        return self.caller("eve")


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    services = ephemeral_services() if request.param == "memory" else local_services(tmp_path)
    yield World(services, Caller("root", "http"))
    services.close()
