"""The wheel in an empty virtual environment: everything is enabled with no further step, and importing it costs next to nothing."""

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

IMPORT_BUDGET_S = 0.050
HEAVY = ["pandas", "altair", "sqlalchemy", "jupyter_server", "pyarrow", "boto3"]

_MEASURE = """
import json, sys, time
before = time.process_time()
import modelbox
cost_s = time.process_time() - before
print(json.dumps({"cost_s": cost_s, "modules": sorted(sys.modules), "file": modelbox.__file__}))
"""


def run(home: Path, program: str, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "PYTHON", "VIRTUAL_ENV"))}
    environment |= {"PATH": f"{home / 'bin'}:{environment['PATH']}", "JUPYTER_CONFIG_DIR": str(home / "config"), "NO_COLOR": "1"}
    command = [str(home / "bin" / program), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=home)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_the_server_extension_is_enabled_and_ok(home: Path) -> None:
    lines = run(home, "jupyter", "server", "extension", "list").splitlines()
    mine = [line.split() for line in lines if "modelbox_server" in line]
    assert any("enabled" in " ".join(words) for words in mine), lines
    assert any("OK" in " ".join(words) for words in mine), lines


def test_the_lab_extension_is_enabled_and_ok(home: Path) -> None:
    listed = run(home, "jupyter", "labextension", "list")
    (line,) = [line for line in listed.splitlines() if "modelbox-labextension" in line]
    assert "enabled" in line
    assert "OK" in line
    assert "modelbox-jupyter" in line, "JupyterLab should name the package to uninstall"


def test_importing_modelbox_is_cheap_and_loads_nothing_heavy(home: Path) -> None:
    measured = [json.loads(run(home, "python", "-c", _MEASURE)) for _ in range(5)]
    assert measured[0]["file"].startswith(str(home)), "the installed package is measured, not the checkout"
    assert not [name for name in HEAVY if name in measured[0]["modules"]]
    assert min(one["cost_s"] for one in measured) < IMPORT_BUDGET_S


def test_the_console_script_answers(home: Path) -> None:
    assert "0.1.0" in run(home, "modelbox", "--version")


def test_every_dependency_that_is_imported_is_declared(home: Path) -> None:
    """Importing each module with run-time dependencies only finds the one that was there by development tools alone."""
    script = """
import importlib, pkgutil, warnings
import modelbox, modelbox_server, modelbox_widgets
failed = {}
for package in (modelbox, modelbox_server, modelbox_widgets):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.', onerror=lambda name: None):
        if '.testing' in module.name or module.name.endswith('__main__'):
            continue
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            failed[module.name] = str(error)
print(failed or 'all imported')
"""
    assert run(home, "python", "-c", script).strip().endswith("all imported")
