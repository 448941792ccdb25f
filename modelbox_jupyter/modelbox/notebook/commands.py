"""The subcommands of ``%modelbox``, as a table: name, what it is for, its arguments, and the function that carries it out."""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import pandas as pd
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from modelbox import frames
from modelbox.client.shared import default_connection
from modelbox.errors import InvalidRequest, shortened
from modelbox.notebook.accessor import RunsAccessor
from modelbox.notebook.cell import run_cell
from modelbox.notebook.find import find_experiment
from modelbox.notebook.views import ExperimentView, StatusView
from modelbox.wire.query.parser import parse
from modelbox_widgets.text import text_table

if TYPE_CHECKING:
    from modelbox_widgets.comparison import Comparison

__all__ = ["COMMANDS", "HELP", "Command", "Parser", "overview"]

HELP = frozenset({"help", "-h", "--help"})
_DEFAULT_LIMIT = 20


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand; `run` gets the shell, the parsed arguments and the cell, and returns what the cell shows."""

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[InteractiveShell, argparse.Namespace, str | None], object]
    takes_cell: bool = False
    takes_query: bool = False
    """Whether a query comes before the options; its quotes are its own."""


class Parser(argparse.ArgumentParser):
    """A parser for a notebook: mistakes are one line, and nothing ends the kernel."""

    def __init__(self, program: str, command: Command) -> None:
        super().__init__(prog=program, description=command.summary, add_help=False, allow_abbrev=False)
        if command.takes_query:
            self.add_argument("query", nargs="*", help="which runs: metrics.loss.min < 0.1 and params.lr < 0.01 order by created limit 20")
        command.add_arguments(self)
        self.add_argument("-h", "--help", action="store_true", help="say this")

    def parse(self, words: list[str]) -> argparse.Namespace | None:
        """Return the arguments; ``None`` when help was asked for, whatever else is missing."""
        return None if HELP & set(words) else self.parse_args(words)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how it should be."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}. {self.format_usage().strip()}")


def overview() -> str:
    """Return the list of subcommands."""
    rows = [[f"{'%%' if command.takes_cell else '%'}modelbox {name}", command.summary] for name, command in COMMANDS.items()]
    return f"{text_table(['command', 'what it does'], rows, limit_chars=80)}\n\nEach explains itself with --help."


# --- status ------------------------------------------------------------------------------------------------------------------------------


def _no_arguments(_parser: argparse.ArgumentParser) -> None:
    pass


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


# --- run ---------------------------------------------------------------------------------------------------------------------------------


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the experiment")
    parser.add_argument("--param", "-p", action="append", default=[], metavar="KEY=VALUE", help="a hyperparameter; may be repeated")
    parser.add_argument("--tag", "-t", action="append", default=[], help="a tag; may be repeated")
    parser.add_argument("--namespace", "-n", default="", help="path that groups experiments")
    parser.add_argument("--group", "-g", default="", help="ties repetitions together, such as seeds")


def _run(shell: InteractiveShell, arguments: argparse.Namespace, cell: str | None) -> None:
    params = dict(_param(text) for text in arguments.param)
    run_cell(shell, cell or "", arguments.name, params=params, tags=arguments.tag, namespace=arguments.namespace, group=arguments.group)


def _param(text: str) -> tuple[str, object]:
    """Split ``key=value``; the value is read as JSON where it is JSON, so that numbers stay numbers, and is text elsewhere."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--param {shortened(text)} is not KEY=VALUE: write --param lr=0.01.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("status", "Say which store this notebook uses, and why.", _no_arguments, _status),
        Command("runs", "List the experiments for which a query holds, newest first, as a DataFrame.", _filters, _runs, takes_query=True),
        Command("show", "Show everything about one experiment.", _show_arguments, _show),
        Command("compare", "Compare experiments: what differs, how they ended, curves.", _compare_arguments, _compare),
        Command("run", "Run the cell as an experiment.", _run_arguments, _run, takes_cell=True),
    )
}
