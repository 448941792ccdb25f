"""The subcommands of ``%modelbox``, as a table: name, what it is for, its arguments, and the function that carries it out."""

import argparse
from typing import TYPE_CHECKING

import pandas as pd
from IPython.core.interactiveshell import InteractiveShell

from modelbox import frames
from modelbox.client.shared import default_connection
from modelbox.errors import InvalidRequest
from modelbox.notebook.accessor import RunsAccessor
from modelbox.notebook.command import Command, no_arguments
from modelbox.notebook.find import find_experiment
from modelbox.notebook.run_command import RUN
from modelbox.notebook.views import ExperimentView, StatusView
from modelbox.wire.query.parser import parse
from modelbox_widgets.text import text_table

if TYPE_CHECKING:
    from modelbox_widgets.comparison import Comparison

__all__ = ["COMMANDS", "overview"]

_DEFAULT_LIMIT = 20


def overview() -> str:
    """Return the list of subcommands."""
    rows = [[command.magic, command.summary] for command in COMMANDS.values()]
    return f"{text_table(['command', 'what it does'], rows, limit_chars=80)}\n\nEach explains itself with --help."


# --- status ------------------------------------------------------------------------------------------------------------------------------


def _status(_shell: InteractiveShell, _arguments: argparse.Namespace, _cell: str | None) -> StatusView:
    return StatusView.of(default_connection())


# --- runs, show, compare -----------------------------------------------------------------------------------------------------------------


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--namespace", "-n", help="only those in this namespace or below it")
    parser.add_argument("--name", help="only those of this name")
    parser.add_argument("--status", help="only those that are running, finished, failed or interrupted")
    parser.add_argument("--group", "-g", help="only those of this group")
    parser.add_argument("--limit", "-l", type=int, help=f"at most so many (default: the limit of the query, else {_DEFAULT_LIMIT})")


def _runs(_shell: InteractiveShell, arguments: argparse.Namespace, _cell: str | None) -> pd.DataFrame:
    return _table(arguments, " ".join(arguments.query))


def _table(arguments: argparse.Namespace, q: str) -> pd.DataFrame:
    if arguments.limit is not None and arguments.limit < 1:
        raise InvalidRequest(f"--limit is {arguments.limit}: at least one run has to be shown.", field="limit")
    limit = arguments.limit or parse(q).limit or _DEFAULT_LIMIT
    return frames.experiments(
        q or None, namespace=arguments.namespace, name=arguments.name, status=arguments.status, group=arguments.group, limit=limit
    )


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="an experiment: its id, the first digits of its id, or its name (the newest of that name)")


def _show(_shell: InteractiveShell, arguments: argparse.Namespace, _cell: str | None) -> ExperimentView:
    box = default_connection()
    return ExperimentView.of(box, find_experiment(box, arguments.run))


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="*", help="experiments as in %%modelbox show; all that the filters let through when left out")
    parser.add_argument("--metric", "-m", action="append", help="a metric to show, the one to judge by first; may be repeated")
    _filters(parser)


def _compare(_shell: InteractiveShell, arguments: argparse.Namespace, _cell: str | None) -> "Comparison":
    if arguments.run:
        box = default_connection()
        runs = frames.experiments(ids=[find_experiment(box, name).id for name in arguments.run])
    else:
        runs = _table(arguments, "")
    return RunsAccessor(runs).compare(arguments.metric)


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("status", "Say which store this notebook uses, and why.", no_arguments, _status),
        Command("runs", "List the experiments for which a query holds, newest first, as a DataFrame.", _filters, _runs, takes_query=True),
        Command("show", "Show everything about one experiment.", _show_arguments, _show),
        Command("compare", "Compare experiments: what differs, how they ended, curves.", _compare_arguments, _compare),
        RUN,
    )
}
