"""``%%modelbox run``: its arguments."""

import argparse
import json
from collections.abc import Mapping

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from modelbox.client.find import find_experiment
from modelbox.client.shared import default_connection
from modelbox.errors import nearest, shortened
from modelbox.notebook.cell import CellRuns, CellSettings
from modelbox.notebook.command import Command

__all__ = ["RUN"]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the experiment")
    parser.add_argument(
        "--param",
        "-p",
        action="append",
        default=[],
        metavar="KEY[=VALUE]",
        help="a hyperparameter, the variable KEY when it has no value; may be repeated",
    )
    parser.add_argument("--params", metavar="VARIABLE", help="a dict of hyperparameters, by the name of its variable")
    parser.add_argument("--tag", "-t", action="append", default=[], help="a tag; may be repeated")
    parser.add_argument("--tags", default="", metavar="TAG,TAG", help="several tags")
    parser.add_argument("--metric", "-m", action="append", default=[], help="a variable to log when the cell has ended; may be repeated")
    parser.add_argument("--namespace", "-n", default="", help="path that groups experiments")
    parser.add_argument("--group", "-g", default="", help="ties repetitions together, such as seeds (default: the name)")
    parser.add_argument("--parent", metavar="RUN", help="the experiment that this one belongs to: its name or id")
    parser.add_argument("--as", dest="variable", default="", metavar="VARIABLE", help="what the experiment is called in the cell (exp)")
    parser.add_argument("--no-outputs", action="store_true", help="do not keep what the cell prints and shows")


def _run(shell: InteractiveShell, arguments: argparse.Namespace, cell: str | None) -> None:
    if arguments.variable and not arguments.variable.isidentifier():
        raise UsageError(f"--as {shortened(arguments.variable)} is no name of a variable: write --as exp.")
    settings = CellSettings(
        name=arguments.name,
        params={**_params(shell, arguments.params), **dict(_param(shell, text) for text in arguments.param)},
        tags=[*arguments.tag, *(tag.strip() for tag in arguments.tags.split(",") if tag.strip())],
        namespace=arguments.namespace,
        group=arguments.group,
        parent=None if arguments.parent is None else find_experiment(default_connection(), arguments.parent),
        metrics=arguments.metric,
        variable=arguments.variable,
        keep_outputs=not arguments.no_outputs,
    )
    if cell is None:
        CellRuns.of(shell).begin(settings)
    else:
        CellRuns.of(shell).run(cell, settings)


def _params(shell: InteractiveShell, name: str | None) -> Mapping[str, object]:
    """Return the hyperparameters that a variable of the notebook holds."""
    if name is None:
        return {}
    found = _variable(shell, name, f"--params {shortened(name)} names no variable")
    if not isinstance(found, Mapping):
        raise UsageError(f"--params {name} is {type(found).__name__}: give a dict, or a single value with --param {name}.")
    return {str(key): value for key, value in found.items()}


def _variable(shell: InteractiveShell, name: str, trouble: str) -> object:
    if name not in shell.user_ns:
        hint = nearest(name, [known for known in shell.user_ns if not known.startswith("_")])
        raise UsageError(f"{trouble}. {hint}".strip())
    return shell.user_ns[name]


def _param(shell: InteractiveShell, text: str) -> tuple[str, object]:
    """Split ``key=value``; the value is read as JSON where it is JSON, so that numbers stay numbers, and is text elsewhere."""
    key, equals, value = text.partition("=")
    if not key:
        raise UsageError(f"--param {shortened(text)} is not KEY=VALUE: write --param lr=0.01.")
    if not equals:
        return key, _variable(shell, key, f"--param {shortened(text)} is not KEY=VALUE, and there is no variable of that name")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


RUN = Command(
    "run",
    "Run the cell as an experiment, and keep its source, outputs, time and exception.",
    _arguments,
    _run,
    takes_cell=True,
    begins_cell=True,
    example="run digits --param lr=0.01 --tags baseline,mlp --metric accuracy",
)
