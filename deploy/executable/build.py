"""Build the one-file executable with PyInstaller, unless the one that is there is newer than everything it is made from.

Usage: ``python deploy/executable/build.py [COPY]`` keeps it as ``.tmp/executable/modelbox`` and copies it to `COPY`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = ROOT / ".tmp" / "executable"
EXECUTABLE = FOLDER / "modelbox"


def sources() -> list[Path]:
    """Return what the executable is made from, as far as it lies in this repository."""
    packages = [ROOT / "modelbox_jupyter" / "modelbox", ROOT / "server_ext" / "modelbox_server"]
    files = [path for package in packages for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return [ROOT / "pyproject.toml", *HERE.glob("*.*"), *files]


def is_current() -> bool:
    """Tell whether the executable is there, and newer than its sources."""
    return EXECUTABLE.is_file() and EXECUTABLE.stat().st_mtime > max(path.stat().st_mtime for path in sources())


def build() -> None:
    """Build it; about half a minute."""
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR"]
    subprocess.run(  # noqa: S603
        [*command, "--distpath", FOLDER, "--workpath", FOLDER / "work", HERE / "modelbox.spec"], check=True
    )


if __name__ == "__main__":
    if not is_current():
        build()
    for copy in sys.argv[1:]:
        shutil.copy2(EXECUTABLE, copy)
