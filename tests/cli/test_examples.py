"""The example in the help of every command does what the page says."""

import select
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from modelbox.cli.commands import COMMANDS
from modelbox.cli.main import main, program
from modelbox.testing.command_line import CommandLine
from modelbox_server.testing.engines import DatabaseServer
from modelbox_server.testing.fixtures import database_server

__all__ = ["database_server"]

UNTIL_CTRL_C = {"server start", "client watch"}
ON_DATABASES = [entry.words for entry in COMMANDS if entry.home and entry.words.startswith("server migrate ")]
EXAMPLES = [entry.words for entry in COMMANDS if entry.home and entry.words != "client"]


def example_of(words: str) -> str:
    command: click.Command = program
    for word in words.split():
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word) or pytest.fail(f"There is no {words}")
    _, marker, text = (command.epilog or "").rpartition("Example:\n  ")
    assert marker, f"The help of modelbox {words} has no example"
    return text


@pytest.fixture
def desk(served: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with what the examples speak of."""
    for name, value in served.env.items():
        if name.startswith("MODELBOX_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "modelbox_server.toml").write_text(
        'listen_addr = "127.0.0.1:0"\nmetadata_storage = "integrated"\nmetrics_storage = "integrated"\n'
        f'[artifact_storage_filesystem]\nbase_dir = "{tmp_path}/blobs"\n[metadata_storage_integrated]\npath = "{tmp_path}/m.db"\n'
        f'[metrics_storage_integrated]\npath = "{tmp_path}/p.db"\n'
    )
    shutil.copy(served.folder / "model.pt", tmp_path)
    record = next((Path(served.env["MODELBOX_STATE_DIR"]) / "servers").glob("*.json"))
    monkeypatch.setenv("MODELBOX_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "state" / "servers").mkdir(parents=True)
    shutil.copy(record, tmp_path / "state" / "servers" / "8085.json")
    return tmp_path


@pytest.mark.parametrize("words", [words for words in EXAMPLES if words not in {*UNTIL_CTRL_C, *ON_DATABASES}])
def test_the_example_of_a_command_runs(words: str, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program_name, *arguments = shlex.split(example_of(words))
    assert program_name == "modelbox"
    if words == "server init-config":
        (desk / "modelbox_server.toml").unlink()
    if words == "client experiments delete":
        assert main(["client", "experiments", "create", "--name", arguments[3]]) == 0
    code = main(arguments)
    captured = capsys.readouterr()
    assert code in ({0, 1} if words == "doctor" else {0}), captured.err  # doctor finds what is wrong with this machine
    assert captured.out or captured.err


@pytest.mark.parametrize("words", sorted(UNTIL_CTRL_C))
@pytest.mark.usefixtures("desk")
def test_the_example_of_a_command_that_goes_on_runs_until_ctrl_c(words: str) -> None:
    command = [sys.executable, "-m", "modelbox.cli.main", *shlex.split(example_of(words))[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        number = 0
        while words == "client watch" and not select.select([running.stdout], [], [], 0.3)[0]:
            number += 1
            assert main(["client", "experiments", "create", "--name", f"seen-{number}", "--namespace", "team/vision"]) == 0
        awaited = {"client watch": "created", "server start": "ModelBox listens at"}[words]
        assert any(awaited in line for line in running.stdout)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130


def test_the_examples_of_migrate_run_on_databases(database_server: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with database_server.database() as settings:
        config = tmp_path / "modelbox_server.toml"
        config.write_text(
            f'metadata_storage = "{database_server.kind}"\n[artifact_storage_filesystem]\nbase_dir = "{tmp_path / "blobs"}"\n'
            f'[metadata_storage_{database_server.kind}]\nhost = "{settings.host}"\nport = {settings.port}\n'
            f'username = "{settings.username}"\npassword = "{settings.password}"\ndbname = "{settings.dbname}"\n'
        )
        config.chmod(0o600)
        assert ON_DATABASES
        for words in ON_DATABASES:
            assert main(shlex.split(example_of(words))[1:]) == 0
