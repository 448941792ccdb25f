"""The command line: one line per fact, one line per error, and exit codes that mean something."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

import modelbox
from modelbox import errors
from modelbox.cli import doctor
from modelbox.cli.commands import COMMANDS, Entry
from modelbox.cli.exits import EXIT_CODES
from modelbox.cli.groups import CommandGroup
from modelbox.cli.main import main, program
from modelbox.testing.fixtures import clean_modelbox_environment

__all__ = ["clean_modelbox_environment"]


@pytest.fixture(autouse=True)
def _own_home(clean_modelbox_environment: object) -> None:
    """Use the clean environment everywhere."""


def test_status_says_which_store_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with modelbox.ModelBox(tmp_path / "runs") as box:
        box.new_experiment("demo")
        assert main(["status", "--address", str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert f"store    {tmp_path / 'runs'} (the local store in this process)" in out
    assert "running  1" in out


@pytest.mark.parametrize(("address", "code"), [("x:y", 2), ("127.0.0.1:9", 3)])
def test_an_error_is_one_line_and_a_code(address: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--address", address]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("modelbox: ")
    assert captured.err.count("\n") == 1


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"modelbox {modelbox.__version__}\n"
    assert main([]) == 0
    assert "doctor" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sttus"], "There is no command 'sttus'. Did you mean 'status'?"),
        (["experiments"], "There is no command 'experiments'. Did you mean 'modelbox client experiments'?"),
        (["server", "xyz"], "There is no command 'xyz'. There is: init-config, "),
        (["status", "--adress", "x"], "There is no option '--adress'. Did you mean '--address'?"),
    ],
)
def test_an_unknown_word_is_a_usage_error_with_a_suggestion(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"modelbox: {sentence}")


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.words)
def test_the_list_of_commands_says_what_their_help_pages_say(entry: Entry) -> None:
    context = click.Context(program)
    command: click.Command = program
    for word in entry.words.split():
        assert isinstance(command, CommandGroup)
        found = command.get_command(context, word)
        assert found is not None
        command = found
    assert command.name == entry.name
    assert " ".join((command.help or "").partition("\n\n")[0].split()) == entry.summary


@pytest.mark.parametrize("words", [[], ["client"], ["client", "experiments", "list"], ["server"]], ids=" ".join)
def test_help_says_what_the_option_says(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", *words]) == 0
    explained = capsys.readouterr().out
    assert main([*words, "--help"]) == 0
    assert explained == capsys.readouterr().out


def test_help_explains_exit_codes_and_refuses_what_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "exit-codes"]) == 0
    assert "130  Ctrl-C" in capsys.readouterr().out
    assert main(["help", "clint"]) == 2
    assert "Did you mean 'client'?" in capsys.readouterr().err
    assert main(["help", "status", "now"]) == 2


@pytest.mark.parametrize(("port", "told"), [("0", "got '0'"), ("x", "got 'x'"), ("65536", "between 1 and 65535")])
def test_a_number_that_is_none_is_told_with_its_bounds(port: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", "token", "--port", port]) == 2
    assert told in capsys.readouterr().err


def test_exit_codes_of_errors_stand_in_the_table() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.ModelBoxError)]
    assert {cls.exit_code for cls in classes} == EXIT_CODES.keys() - {0, 130, 141}


def test_doctor_reports_every_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("modelbox.cli.doctor.diagnose", lambda: [doctor.Finding(True, "fine"), doctor.Finding(False, "broken")])
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out == "ok   fine\nBAD  broken\n"


def test_doctor_sees_another_distribution_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.metadata, "packages_distributions", lambda: {"modelbox": ["modelbox", "modelbox-jupyter"]})
    finding = doctor.diagnose()[0]
    assert not finding.good
    assert "pip uninstall modelbox" in finding.text


def test_doctor_sees_that_an_extension_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_jupyter_folders", lambda kind: [])
    assert [finding.good for finding in doctor.diagnose()[-2:]] == [False, False]


def test_the_command_starts_without_loading_the_server() -> None:
    code = "import sys\nfrom modelbox.cli.main import main\nmain([])\nassert not {'sqlalchemy', 'pandas', 'tornado'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
