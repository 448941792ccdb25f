"""The table of the subcommands of ``%modelbox``: name, what it is for, its arguments, the function that carries it out, and an example."""

import argparse

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from modelbox.client.shared import default_connection
from modelbox.client.sync import sync
from modelbox.errors import nearest, shortened
from modelbox.notebook.command import Command, no_arguments
from modelbox.notebook.look_commands import COMPARE, DIFF, QUERY, RUNS, SHOW, WATCH
from modelbox.notebook.run_command import RUN
from modelbox.notebook.sql_command import SQL
from modelbox.notebook.views import OpenView, StatusView, SyncView
from modelbox_widgets.text import text_table

__all__ = ["COMMANDS", "named", "overview"]


def overview() -> str:
    """Return the list of subcommands."""
    rows = [[command.magic, command.summary] for command in COMMANDS.values()]
    return f"{text_table(['command', 'what it does'], rows, limit_chars=80)}\n\nEach explains itself with --help; Tab completes names."


def named(name: str) -> Command:
    """Return the subcommand called `name`.

    Raises
    ------
    UsageError
        There is none; the message says which there are.
    """
    if name not in COMMANDS:
        raise UsageError(f"There is no %modelbox {shortened(name)}. {nearest(name, COMMANDS)}\nThere is: {', '.join(COMMANDS)}.")
    return COMMANDS[name]


def _status(_shell: InteractiveShell, _arguments: argparse.Namespace, _cell: str | None) -> StatusView:
    return StatusView.of(default_connection())


def _sync_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", help="journals, such as a copy from another machine (default: those of this machine)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="how long to try (60)")


def _sync(_shell: InteractiveShell, arguments: argparse.Namespace, _cell: str | None) -> SyncView:
    return SyncView(sync(arguments.folder, timeout_s=arguments.timeout))


def _open(_shell: InteractiveShell, _arguments: argparse.Namespace, _cell: str | None) -> OpenView:
    return OpenView(default_connection().where)


def _help_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", nargs="?", help="a subcommand")


def _help(_shell: InteractiveShell, arguments: argparse.Namespace, _cell: str | None) -> None:
    print(overview() if arguments.topic is None else named(arguments.topic).help())  # noqa: T201 - text is what was asked for


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("status", "Say which store this notebook uses, and why.", no_arguments, _status, example="status"),
        RUNS,
        SHOW,
        COMPARE,
        DIFF,
        QUERY,
        WATCH,
        Command("sync", "Send what processes that have ended left behind.", _sync_arguments, _sync, example="sync copied-journals/"),
        Command("open", "Show the experiments beside the notebook, or where their page is.", no_arguments, _open, example="open"),
        Command("help", "List the subcommands, or explain one.", _help_arguments, _help, example="help runs"),
        RUN,
        SQL,
    )
}
