"""``%modelbox`` and ``%%modelbox``: parse a line, call a function, done.

What the subcommands do is in :mod:`modelbox.notebook.commands`.
"""

import re
import shlex

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class

from modelbox.errors import shortened
from modelbox.notebook.command import HELP_OPTIONS, Command, Parser
from modelbox.notebook.commands import named, overview

__all__ = ["ModelBoxMagics"]

_OUTSIDE_QUOTES = re.compile(r"""(?:[^\s"'`]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)+""")
_OPTION = re.compile(r"--\w[\w-]*(?:=.*)?|-[a-zA-Z]", re.DOTALL)


@magics_class
class ModelBoxMagics(Magics):
    """The magics of a shell.

    Parameters
    ----------
    shell
        The shell that they run in.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._shell = shell

    @line_cell_magic
    def modelbox(self, line: str, cell: str | None = None) -> object:
        """Look at experiments, or run a cell as one: `%modelbox help` lists the subcommands.

        Arguments are split as in a Unix shell: quote names with blanks. A query is taken as it stands and ends where the first option
        begins: `%modelbox runs name = "a b" and params.lr < 0.1 --limit 5`. IPython first replaces `{expression}` and `$variable`.
        """
        command = _command(line.split(maxsplit=1)[:1], in_cell=cell is not None)
        if command is None:
            return print(overview())  # noqa: T201 - text is what was asked for
        query, options = _query_and_options(line) if command.takes_query else ("", _words(line)[1:])
        arguments = Parser(command).parse(options)
        if arguments is None:
            return print(command.help())  # noqa: T201
        if query:
            arguments.query = [query, *arguments.query]
        return command.run(self._shell, arguments, cell)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise UsageError(f"A quotation mark in {shortened(line)} is never closed: close it, or write a backslash before it.") from None


def _query_and_options(line: str) -> tuple[str, list[str]]:
    """Return the query that follows the subcommand, quotes and all, and the words behind it."""
    rest = "".join(line.split(maxsplit=1)[1:])
    option = next((found for found in _OUTSIDE_QUOTES.finditer(rest) if _OPTION.fullmatch(found[0])), None)
    at = len(rest) if option is None else option.start()
    return rest[:at].strip(), _words(rest[at:])


def _command(words: list[str], *, in_cell: bool) -> Command | None:
    """Return the command that a line names; ``None`` when it asks for help."""
    if not words or words[0] in HELP_OPTIONS:
        return None
    command = named(words[0])
    if command.takes_cell != in_cell and not command.begins_cell:
        place = "%%{} as the first line of a cell" if command.takes_cell else "%{} on a line of its own"
        raise UsageError(f"Write {place.format(f'modelbox {command.name}')}.")
    return command
