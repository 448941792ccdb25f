"""What the documentation shows is so.

Every ``python`` block of a page runs, in order, in one namespace and one fresh process per page, on a store of its own. Blocks of a shell
are checked rather than run, since they would install things or start servers: a ``make`` must name a task of the Makefile, ``pip install``
a wheel or the package itself, ``modelbox`` a command that answers to ``--help``. Blocks in other languages are left alone.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from modelbox.cli.main import program

ROOT = Path(__file__).parents[2]
FOLDERS = ("deploy", "labextension", "modelbox_jupyter", "notebooks", "server_ext", "widgets")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        "*.md",
        "modelbox_jupyter/*.md",
        "server_ext/*.md",
        "widgets/*.md",
        "labextension/*.md",
        "notebooks/*.md",
        "deploy/*.md",
    )
    for path in ROOT.glob(pattern)
)
SHELL = {"console", "sh", "bash", "shell"}
OF_OPERATORS = {"curl", "docker", "haproxy", "kubectl", "nginx", "systemctl"}
"""Programs for which a test can only look whether the files are there that they are given."""
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its code, and the line of the page at which the code begins."""

    language: str
    code: str
    line: int


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text()
    return [Block(match["language"], match["code"], text.count("\n", 0, match.start()) + 2) for match in _FENCE.finditer(text)]


def clean_environment(store: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MODELBOX_", "JUPYTER", "JPY_"))}
    # A server of the user who runs the tests must not be found: the examples would be kept there.
    own = {name: str(store / "own") for name in ("MODELBOX_STATE_DIR", "MODELBOX_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    return kept | own | {"MODELBOX_DATA_DIR": str(store)}


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run(page: str, tmp_path: Path) -> None:
    examples = [block for block in blocks(page) if block.language == "python"]
    if not examples:
        return
    # Empty lines keep the line numbers of a traceback those of the page; magics are IPython's.
    padded = ""
    for block in examples:
        padded += "\n" * (block.line - 1 - padded.count("\n")) + block.code
    (tmp_path / "page.ipy").write_text(padded)
    (tmp_path / "model.joblib").write_bytes(b"weights")  # examples upload it
    command = [sys.executable, "-m", "IPython", "--no-banner", "--quiet", "--profile-dir", str(tmp_path / "profile"), "page.ipy"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=clean_environment(tmp_path / "store"), timeout=120
    )
    assert result.returncode == 0, f"{page}:\n{result.stdout}\n{result.stderr}"
    assert "Traceback" not in result.stdout + result.stderr, f"{page}:\n{result.stdout}\n{result.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_shell_blocks_name_commands_that_exist(page: str) -> None:
    for block in blocks(page):
        if block.language not in SHELL or (page, block.language) == ("deploy/README.md", "sh"):  # tests/deploy/test_page.py runs those
            continue
        for line in block.code.splitlines():
            text = line.strip().removeprefix("$ ")
            is_output = block.language == "console" and not line.strip().startswith("$ ")
            if text and not text.startswith("#") and not is_output:
                check_command(shlex.split(text, comments=True), f"{page}:{block.line}: {text}")


def check_command(words: list[str], where: str) -> None:
    program, *rest = words
    if program == "make":
        tasks = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
        named = {word for word in rest if "=" not in word}
        assert named <= tasks, where
    elif program == "pip":
        wanted = [word for word in rest[1:] if not word.startswith("-")]
        assert all(word.startswith(("modelbox-jupyter", ".")) or word.endswith(".whl") for word in wanted), where
    elif program in {"modelbox", "dist/modelbox"}:
        check_modelbox(rest, where)
    elif program in OF_OPERATORS:
        assert all((ROOT / word).exists() for word in rest if word.startswith("deploy/") and not word.endswith("/")), where
    else:
        assert program in {"cd", "git", "jupyter", "python", "python3"}, f"{where}: a command that no test knows how to check"


def check_modelbox(words: list[str], where: str) -> None:
    command: click.Command = program
    context = click.Context(program)
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        command = command.get_command(context, words[0]) or pytest.fail(f"{where}: there is no command {words[0]}")
        words = words[1:]
    known = {name for parameter in command.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known, where


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_repository_lead_somewhere(page: str) -> None:
    text = _FENCE.sub("", (ROOT / page).read_text())
    targets = [match["target"].split("#")[0] for match in _LINK.finditer(text)]
    local = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not ((ROOT / page).parent / target).exists()] == []
