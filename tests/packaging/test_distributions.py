"""What is in the wheel and the sdist."""

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

LAB = "modelbox_jupyter-0.1.0.data/data/share/jupyter/labextensions/modelbox-labextension"
CONFIG = "modelbox_jupyter-0.1.0.data/data/etc/jupyter/jupyter_server_config.d/modelbox_server.json"
PACKAGES = {"modelbox": "modelbox_jupyter", "modelbox_server": "server_ext", "modelbox_widgets": "widgets"}


@pytest.fixture(scope="module")
def files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_three_packages(files: set[str], checkout: Path) -> None:
    for package, root in PACKAGES.items():
        folder = checkout / root
        expected = {
            path.relative_to(folder).as_posix()
            for path in (folder / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".") and not path.name.endswith(".d.ts")
        }
        assert expected <= files


def test_the_wheel_holds_the_lab_extension_and_the_server_configuration(files: set[str], wheel: Path) -> None:
    assert {f"{LAB}/package.json", f"{LAB}/install.json", f"{LAB}/static/style.js", CONFIG} <= files
    scripts = [name for name in files if name.startswith(f"{LAB}/static/") and name.endswith(".js")]
    assert any("remoteEntry" in name for name in scripts)
    with zipfile.ZipFile(wheel) as archive:
        described = json.loads(archive.read(f"{LAB}/package.json"))
        assert archive.getinfo(next(name for name in scripts if archive.getinfo(name).file_size > 500_000)), "Vega's own chunk"
    assert f"static/{Path(described['jupyterlab']['_build']['load']).name}" in {name.removeprefix(f"{LAB}/") for name in files}


def test_the_wheel_holds_the_web_page(files: set[str]) -> None:
    page = {name.removeprefix("modelbox_server/page_files/") for name in files if name.startswith("modelbox_server/page_files/")}
    assert "index.html" in page
    assert {Path(name).suffix for name in page if name.startswith("assets/")} == {".css", ".js", ".svg"}


def test_the_wheel_holds_nothing_else(files: set[str]) -> None:
    tops = {name.split("/")[0] for name in files}
    assert tops == {*PACKAGES, "modelbox_jupyter-0.1.0.dist-info", "modelbox_jupyter-0.1.0.data"}
    assert not [name for name in files if "node_modules" in name or "__pycache__" in name or name.endswith((".ts", ".map"))]


def test_the_wheel_stays_small(wheel: Path) -> None:
    """Most of it is Vega, which the lab extension and the web page have one each of."""
    assert wheel.stat().st_size < 2_000_000


def test_an_sdist_makes_the_same_wheel_without_node(sdist: Path, files: set[str], tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert (source / "tests").is_dir()
    # Neither node nor anything else outside Python can be found.
    environment = {**os.environ, "PATH": str(tmp_path / "nowhere")}
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path / "out"), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = (tmp_path / "out").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == files


def test_the_package_and_its_lab_extension_have_one_version(checkout: Path) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    package = json.loads((checkout / "labextension" / "package.json").read_text())
    assert project["version"] == package["version"]


def test_no_file_names_a_registry(checkout: Path) -> None:
    """Which mirror packages come from is the business of the machine, not of the project."""
    lock = (checkout / "labextension" / "yarn.lock").read_text()
    assert "://" not in lock
