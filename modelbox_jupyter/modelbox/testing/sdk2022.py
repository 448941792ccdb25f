"""The Python SDK of 2022, unmodified from the package index, in an environment of its own: its import name is ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SDK", "run_script", "sdk_python"]

SDK = "modelbox==0.0.5"
"""The distribution that is installed."""


@pytest.fixture(scope="session")
def sdk_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python that has the SDK; modules that import this fixture share one environment."""
    folder = tmp_path_factory.getbasetemp() / "sdk2022"
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, timeout=120)  # noqa: S603
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", SDK]
        subprocess.run(command, check=True, timeout=240)  # noqa: S603
        (folder / "whole").touch()
    return python


def run_script(python: Path, script: Path, address: str, folder: Path) -> dict[str, Any]:
    """Run a script of the SDK against the server at an address, in a folder, and return the JSON document that it prints.

    Parameters
    ----------
    python
        What :func:`sdk_python` returned.
    script
        Gets the address as its argument.
    address, folder
        Where the server is, and where the script runs.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(  # noqa: S603
        [python, script, address], capture_output=True, text=True, check=False, timeout=120, env=environment, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return cast("dict[str, Any]", json.loads(done.stdout))
