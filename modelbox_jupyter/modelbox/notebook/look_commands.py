"""The subcommands that look at experiments: ``runs``, ``show``, ``compare``, ``diff``, ``query`` and ``watch``."""

import argparse
from typing import TYPE_CHECKING

import pandas as pd
from IPython.core.interactiveshell import InteractiveShell

from modelbox import frames
from modelbox.client.find import find_experiment
from modelbox.client.shared import default_connection
from modelbox.errors import InvalidRequest
from modelbox.notebook.accessor import RunsAccessor
from modelbox.notebook.command import Command
from modelbox.notebook.views import ExperimentView
from modelbox.notebook.watch import nothing_runs, running, watch
from modelbox.wire.query.needs import fields_of
from modelbox.wire.query.parser import parse
from modelbox.wire.query.spelling import spelled

if TYPE_CHECKING:
    from modelbox_widgets.comparison import Comparison

__all__ = ["COMPARE", "DIFF", "QUERY", "RUNS", "SHOW", "WATCH"]

_DEFAULT_LIMIT = 20


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--namespace", "-n", help="only those in this namespace or below it")
    parser.add_argument("--name", help="only those of this name")
    parser.add_argument("--status", help="only those that are running, finished, failed or interrupted")
    parser.add_argument("--group", "-g", help="only those of this group")
    parser.add_argument("--limit", "-l", type=int, help=f"at most so many (default: the limit of the query, else {_DEFAULT_LIMIT})")


def _several(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="*", help="experiments as in %%modelbox show; all that the filters let through when left out")


def _table(arguments: argparse.Namespace, q: str = "") -> pd.DataFrame:
    if arguments.limit is not None and arguments.limit < 1:
        raise InvalidRequest(f"--limit is {arguments.limit}: at least one run has to be shown.", field="limit")
    limit = arguments.limit or parse(q).limit or _DEFAULT_LIMIT
    return frames.experiments(
        q or None, namespace=arguments.namespace, name=arguments.name, status=arguments.status, group=arguments.group, limit=limit
    )


def _named_or_filtered(arguments: argparse.Namespace) -> pd.DataFrame:
    if not arguments.run:
        return _table(arguments)
    box = default_connection()
    return frames.experiments(ids=[find_experiment(box, name).id for name in arguments.run])


def _runs(_shell: InteractiveShell, arguments: argparse.Namespace, _cell: str | None) -> pd.DataFrame:
    return _table(arguments, " ".join(arguments.query))


def _query(_shell: InteractiveShell, arguments: argparse.Namespace, _cell: str | None) -> pd.DataFrame:
    q = " ".join(arguments.query)
    query = parse(q)
    if not query.show:
        shown = dict.fromkeys(["name", "status", *map(spelled, fields_of(query))])
        q = f"{q} show {', '.join(shown)}"
    return _table(arguments, q)


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="an experiment: its id, the first digits of its id, or its name (the newest of that name)")


def _show(_shell: InteractiveShell, arguments: argparse.Namespace, _cell: str | None) -> ExperimentView:
    box = default_connection()
    return ExperimentView.of(box, find_experiment(box, arguments.run))


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    _several(parser)
    parser.add_argument("--metric", "-m", action="append", help="a metric to show, the one to judge by first; may be repeated")
    _filters(parser)


def _compare(_shell: InteractiveShell, arguments: argparse.Namespace, _cell: str | None) -> "Comparison":
    return RunsAccessor(_named_or_filtered(arguments)).compare(arguments.metric)


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    _several(parser)
    _filters(parser)


def _diff(_shell: InteractiveShell, arguments: argparse.Namespace, _cell: str | None) -> pd.DataFrame:
    if len(arguments.run) == 1:
        raise InvalidRequest(f"One run has nothing to differ from: name another beside {arguments.run[0]!r}.", field="run")
    return RunsAccessor(_named_or_filtered(arguments)).diff()


def _watch_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="*", help="experiments as in %%modelbox show; those that are running when left out")
    parser.add_argument("--namespace", "-n", help="only those in this namespace or below it")


def _watch(shell: InteractiveShell, arguments: argparse.Namespace, _cell: str | None) -> pd.DataFrame | None:
    box = default_connection()
    named = [find_experiment(box, name) for name in arguments.run]
    if hasattr(shell, "kernel"):
        if not watch(shell, box, named, arguments.namespace):
            print(nothing_runs(box))  # noqa: T201 - a sentence is the answer
        return None
    # A terminal has nothing to draw on.
    found = named or running(box, arguments.namespace)
    if not found:
        print(nothing_runs(box))  # noqa: T201 - likewise
        return None
    return frames.experiments(ids=[experiment.id for experiment in found])


_RUNS_EXAMPLE = "runs metrics.accuracy > 0.9 and params.lr < 0.01 order by metrics.loss.min --limit 5"
RUNS = Command(
    "runs",
    "List the experiments for which a query holds, newest first, as a DataFrame.",
    _filters,
    _runs,
    takes_query=True,
    example=_RUNS_EXAMPLE,
)
SHOW = Command("show", "Show everything about one experiment.", _show_arguments, _show, example="show digits")
COMPARE = Command(
    "compare",
    "Compare experiments: what differs, how they ended, curves.",
    _compare_arguments,
    _compare,
    example="compare --group digits --metric accuracy",
)
DIFF = Command(
    "diff", "List the settings, packages and code in which experiments differ.", _diff_arguments, _diff, example="diff 4f2a 91c0"
)
QUERY = Command(
    "query",
    "List the experiments for which a query holds, with the columns it speaks of.",
    _filters,
    _query,
    takes_query=True,
    example="query params.lr between 0.001 and 0.1 order by metrics.loss.min",
)
WATCH = Command("watch", "Draw running experiments, whoever runs them, until all are over.", _watch_arguments, _watch, example="watch")
