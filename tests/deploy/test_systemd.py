"""The unit of systemd, judged by systemd's own tools."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from modelbox.cli.main import main
from modelbox_server.config.loading import load_config

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = (DEPLOY / "systemd" / "modelbox.service").read_text()
MOST_EXPOSED = 20
"""Of 100: what 'systemd-analyze security' calls safe ends at 20."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "modelbox.service"
    path.write_text(UNIT.replace("/usr/local/bin/modelbox", "/bin/true"))
    return path


def test_systemd_reads_the_unit_without_a_complaint(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_service_is_kept_from_what_it_does_not_need(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_it_starts_a_command_that_there_is_with_settings_that_are_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (command,) = re.findall(r"^ExecStart=/usr/local/bin/modelbox (.+)$", UNIT, re.MULTILINE)
    assert command == "server start --config-path /etc/modelbox/modelbox_server.toml"
    assert main(["server", "start", "--help"]) == 0
    assert "--config-path" in capsys.readouterr().out
    (variable,) = re.findall(r"^Environment=(MODELBOX_\w+)=%d/token$", UNIT, re.MULTILINE)
    (tmp_path / "token").write_text("a token")
    assert load_config(DEPLOY / "modelbox_server.toml", {variable: str(tmp_path / "token")}).text("auth.token") == "a token"
