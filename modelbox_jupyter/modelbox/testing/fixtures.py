"""pytest fixtures: ``pytest_plugins = ["modelbox.testing.fixtures"]`` in a ``conftest.py``, or import them there by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from modelbox.testing.connections import memory_connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from modelbox.client.connection import ModelBox

__all__ = ["clean_modelbox_environment", "memory_modelbox"]

_PREFIXES = ("MODELBOX_", "JUPYTERHUB_", "JPY_")


@pytest.fixture
def memory_modelbox() -> Iterator[ModelBox]:
    """Yield a connection to a fresh store in memory."""
    with memory_connection() as connection:
        yield connection


@pytest.fixture
def clean_modelbox_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give a test a home folder of its own and no setting that points to a real store; return that folder.

    System metrics and provenance are off: what a test checks should not depend on the machine. Delete the variables to have them.
    """
    for name in [name for name in os.environ if name.startswith(_PREFIXES)]:
        monkeypatch.delenv(name)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MODELBOX_SYSTEM_METRICS", "0")
    monkeypatch.setenv("MODELBOX_PROVENANCE", "0")
    return tmp_path
