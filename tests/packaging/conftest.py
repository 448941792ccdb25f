"""The wheel, built once from this checkout."""

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
