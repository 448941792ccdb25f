"""Crash tests: few rounds by default, as many as were promised with ``MODELBOX_FAULTS=full``."""

import os
from collections.abc import Callable

import pytest

from modelbox.testing.fixtures import clean_modelbox_environment
from modelbox_server.testing.fixtures import database_server

__all__ = ["clean_modelbox_environment", "database_server"]

_FULL = os.environ.get("MODELBOX_FAULTS") == "full"


@pytest.fixture(autouse=True)
def _own_home(clean_modelbox_environment: object) -> None:
    """Use the clean environment everywhere."""


@pytest.fixture(scope="session")
def rounds() -> Callable[[int, int], int]:
    """Return how many rounds to take: the first number by default, the second in full."""
    return lambda usual, full: full if _FULL else usual
