"""The page about the command line, made from the commands themselves: ``python -m modelbox.cli.reference > modelbox_jupyter/CLI.md``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import click

from modelbox.cli.commands import COMMANDS
from modelbox.cli.exits import EXIT_CODES
from modelbox.cli.main import program

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["reference"]

_HEAD = """# The command line

Made by `python -m modelbox.cli.reference > modelbox_jupyter/CLI.md`, and compared by `tests/docs/test_cli_page.py`. Every command has
`--help`; the settings of `modelbox server` stand in the [README of the server](../server_ext/README.md) and in `modelbox server settings`.

A store is named by `--address` or `MODELBOX_API_ADDR`, and searched for otherwise, as in a notebook; `modelbox status` says which one it
is, and why. Experiments are meant by their id, by the beginning of it, or by their name: the newest of that name. Tables fit the terminal;
in a pipe they are whole, and `--json` and `--csv` are for programs. Colours are left out with `NO_COLOR` and in pipes. Progress of long
transfers is shown on a terminal, on stderr, unless `MODELBOX_PROGRESS=0`. `modelbox completion` prints what bash, zsh and fish need.

## Exit codes

| code | meaning |
|---|---|
"""


def reference() -> str:
    """Return the page."""
    codes = [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    sections = [f"\n{_section(entry.words)}" for entry in COMMANDS if entry.home]
    return "\n".join([_HEAD + "\n".join(codes), *sections]) + "\n"


def _find(words: str) -> tuple[click.Command, click.Context]:
    command, context = cast("click.Command", program), click.Context(program, info_name="modelbox")
    for word in words.split():
        command = cast("click.Command", cast("click.Group", command).get_command(context, word))
        context = click.Context(command, info_name=word, parent=context)
    return command, context


def _section(words: str) -> str:
    command, context = _find(words)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    lines = [f"## modelbox {words}", text, f"    {usage}"]
    if options := "\n".join(_options(command, context)):
        lines.append(options)
    for part in filter(None, (command.epilog or "").removeprefix("\b\n").split("\n\n")):
        lead, _, code = part.removeprefix("\b\n").partition(":\n  ")
        lines.append(f"{lead}: `{code}`" if code else f"```text\n{part}\n```")
    return "\n\n".join(lines)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for option in command.get_params(context):
        if isinstance(option, click.Option) and not option.hidden and "--help" not in option.opts:
            names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
            value = "" if option.is_flag else f" {option.make_metavar(context)}"
            extra = ["needed"] if option.required else [f"default: {option.default}"] if option.show_default else []
            extra += ["may be repeated"] if option.multiple else []
            notes = f" ({', '.join(extra)})" if extra else ""
            yield f"- {names}{value}: {option.help}{notes}"


if __name__ == "__main__":
    sys.stdout.write(reference())
