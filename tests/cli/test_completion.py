"""Completion in real shells, against a real server."""

import shutil
import subprocess
import time

import pytest

from modelbox.testing.command_line import CommandLine, open_terminal
from modelbox_server.config.table import SETTINGS

SHELLS = ("bash", "zsh", "fish")
CASES = {
    "modelbox cl": "client",
    "modelbox client exp": "experiments",
    "modelbox client experiments list --names": "--namespace",
    "modelbox client experiments list --namespace te": "team/vision",
    "modelbox client experiments show dig": "digits",
    "modelbox client metrics digits --key acc": "accuracy",
    "modelbox client versions dig": "digits",
    "modelbox client artifacts download --parent-id digits --name mod": "model.pt",
    "modelbox client artifacts upload --type aud": "audio",
    "modelbox server settings auth.m": "auth.mode",
}


def need(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed here: apt install {shell}")
    return path


def completions(served: CommandLine, line: str, **env: str) -> list[str]:
    """Ask as the script for bash does, with the script itself in a bash that nobody looks at."""
    script = """
    eval "$(modelbox completion bash)"
    read -r -a COMP_WORDS <<< "$1"
    [[ $1 == *' ' ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _modelbox_completion modelbox
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    command = [need("bash"), "--norc", "-c", script, "bash", line]
    ended = subprocess.run(command, env={**served.env, **env}, capture_output=True, text=True, check=True, timeout=90, cwd=served.folder)
    assert ended.stderr.replace("bash: warning: ", "") == "" or "compopt: not currently executing" in ended.stderr
    return ended.stdout.split()


@pytest.mark.parametrize(("line", "expected"), CASES.items())
def test_bash_completes_commands_options_and_values(served: CommandLine, line: str, expected: str) -> None:
    assert completions(served, line) == [expected]


def test_a_name_that_a_shell_would_act_on_is_completed_by_its_id(served: CommandLine) -> None:
    found = completions(served, "modelbox client experiments show ")
    assert {"baseline", "digits", "run-1", "漢字のモデル"} <= set(found)
    assert not [name for name in found if "$" in name or ";" in name]
    odd = served.run("query", "params.lr = 0.5", "--csv").stdout.splitlines()[1].split(",")[0]
    assert completions(served, f"modelbox client experiments show {odd[:6]}") == [odd[:12]]
    assert not (served.folder / "injected").exists()


def test_a_store_that_does_not_answer_is_not_waited_for(served: CommandLine) -> None:
    begin_s = time.monotonic()
    assert completions(served, "modelbox client experiments show di", MODELBOX_API_ADDR="127.0.0.1:9") == []
    assert time.monotonic() - begin_s < 60


def test_completion_makes_no_store(served: CommandLine) -> None:
    folder = served.folder / "none"
    assert completions(served, "modelbox client experiments show di", MODELBOX_API_ADDR=str(folder)) == []
    assert not folder.exists()


def test_every_setting_is_completed(served: CommandLine) -> None:
    assert set(completions(served, "modelbox server settings ")) == {setting.path for setting in SETTINGS}


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_tab_completes_in_a_terminal(served: CommandLine, shell: str) -> None:
    options = {"bash": ("--norc", "--noprofile", "-i"), "zsh": ("-f", "-i")}[shell]
    begin = {"bash": "", "zsh": "autoload -U compinit; compinit -u; "}[shell]
    terminal = open_terminal([need(shell), *options], {**served.env, "PS1": "READY> "}, served.folder, columns=120)
    try:
        terminal.wait_for(lambda text: "READY> " in text)
        terminal.type(f'{begin}eval "$(modelbox completion {shell})"; echo "IS"DONE\n')
        terminal.wait_for(lambda text: "ISDONE" in text)
        terminal.type("echo modelbox\x01\x0b")  # keys that clear the line: completion begins on an empty one
        terminal.type("modelbox client experiments show dig\t")
        terminal.wait_for(lambda text: "show digits" in text)
        terminal.type(" && echo shown\n")
        assert "weights" not in terminal.wait_for(lambda text: "\nshown" in text)
        assert "experiment_id" in terminal.written
    finally:
        terminal.kill()


@pytest.mark.parametrize(("line", "expected"), list(CASES.items())[2:6])
def test_fish_completes_commands_options_and_values(served: CommandLine, line: str, expected: str) -> None:
    script = f"modelbox completion fish | source; complete -C '{line}'"
    ended = subprocess.run(
        [need("fish"), "--no-config", "-c", script], env=served.env, capture_output=True, text=True, check=True, timeout=90
    )
    assert [one.split("\t")[0] for one in ended.stdout.splitlines()] == [expected]
