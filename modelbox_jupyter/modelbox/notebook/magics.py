"""``%modelbox`` and ``%%modelbox``: parse a line, call a function, done.

What the subcommands do is in :mod:`modelbox.notebook.commands`.
"""

import shlex

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class

from modelbox.errors import nearest, shortened
from modelbox.notebook.commands import COMMANDS, HELP, Command, Parser, overview

__all__ = ["ModelBoxMagics"]


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

        Arguments are split as in a Unix shell: quote names with blanks. IPython first replaces `{expression}` and `$variable`.
        """
        words = _words(line)
        command = _command(words, in_cell=cell is not None)
        if command is None:
            return print(overview())  # noqa: T201 - text is what was asked for
        parser = Parser(f"{'%%' if command.takes_cell else '%'}modelbox {command.name}", command)
        arguments = parser.parse(words[1:])
        if arguments is None:
            return print(parser.format_help())  # noqa: T201
        return command.run(self._shell, arguments, cell)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise UsageError(f"A quotation mark in {shortened(line)} is never closed: close it, or write a backslash before it.") from None


def _command(words: list[str], *, in_cell: bool) -> Command | None:
    """Return the command that a line names; ``None`` when it asks for help."""
    if not words or words[0] in HELP:
        return None
    command = COMMANDS.get(words[0])
    if command is None:
        known = ", ".join([*COMMANDS, "help"])
        raise UsageError(f"There is no %modelbox {shortened(words[0])}. {nearest(words[0], COMMANDS)}\nThere is: {known}.")
    if command.takes_cell != in_cell:
        place = "%%{} as the first line of a cell" if command.takes_cell else "%{} on a line of its own"
        raise UsageError(f"Write {place.format(f'modelbox {command.name}')}.")
    return command
