"""The wheel, built once from this checkout, and an environment that holds it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The checkout whose package is tested; tests that look at its files make no sense elsewhere."""
    assert (ROOT / "labextension" / "package.json").is_file()
    return ROOT


@pytest.fixture(scope="session")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(checkout, tmp_path_factory.mktemp("sdist"), "--sdist")


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(checkout, tmp_path_factory.mktemp("wheel"), "--wheel")


def build(source: Path, target: Path, kind: str) -> Path:
    """Build with what is installed here: an isolated build would install the same again."""
    command = [sys.executable, "-m", "build", "--no-isolation", kind, "--outdir", str(target), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="session")
def home(checkout: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment made by the steps of the image, and nothing of this checkout; then JupyterLab is added."""
    folder = tmp_path_factory.mktemp("image")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    stage = (checkout / "deploy" / "Dockerfile").read_text().replace("\\\n", " ").partition(" AS install\n")[2].partition("\nFROM ")[0]
    steps = re.findall(r"^RUN (.+)$", stage, re.MULTILINE)
    assert steps
    for step in [*steps, "/opt/modelbox/bin/python -m pip install --quiet --disable-pip-version-check jupyterlab"]:
        command = step.replace("/opt/modelbox", str(folder / "venv")).replace("/wheels/", f"{wheel.parent}/")
        done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, env=environment, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "venv"
