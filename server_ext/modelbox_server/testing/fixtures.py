"""Pytest fixtures: services over every embedded set of stores. A ``conftest.py`` imports what it needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbox_server.service.context import Caller
from modelbox_server.testing.samples import JumpingClock
from modelbox_server.wiring import Services, ephemeral_services, local_services

__all__ = ["caller", "services"]


@pytest.fixture
def caller() -> Caller:
    """Somebody whose name is not ASCII."""
    return Caller("Zoë", "embedded")


@pytest.fixture(params=["memory", "sqlite"])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Services]:
    """Services over memory, and over SQLite and files, with a clock that jumps."""
    opened = (
        ephemeral_services(clock=JumpingClock()) if request.param == "memory" else local_services(tmp_path / "store", clock=JumpingClock())
    )
    yield opened
    opened.close()
