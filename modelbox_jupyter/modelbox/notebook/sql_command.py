"""``%%modelbox sql``: the cell is a statement, its answer a DataFrame."""

import argparse

import pandas as pd
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from modelbox import frames
from modelbox.errors import shortened
from modelbox.notebook.command import Command

__all__ = ["SQL"]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("variable", nargs="?", help="variable that gets the DataFrame; it is shown when left out")


def _run(shell: InteractiveShell, arguments: argparse.Namespace, cell: str | None) -> pd.DataFrame | None:
    variable: str | None = arguments.variable
    if variable is not None and not variable.isidentifier():
        raise UsageError(f"{shortened(variable, 40)} is no name of a variable: write %%modelbox sql runs, and the statement below it.")
    table = frames.sql(cell or "")
    if variable is None:
        return table
    shell.user_ns[variable] = table
    print(f"{variable}: {len(table)} rows, {len(table.columns)} columns")  # noqa: T201 - what a cell without a value shows
    return None


SQL = Command(
    "sql",
    "Show, or keep, what the SQL in the cell selects; it reads the views that modelbox.views() lists.",
    _arguments,
    _run,
    takes_cell=True,
    example="sql runs",
)
