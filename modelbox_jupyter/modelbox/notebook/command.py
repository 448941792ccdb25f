"""What a subcommand of ``%modelbox`` is: one row of a table, and a parser whose mistakes are one sentence.

Help, the overview, completion and the tests of the documentation all come from the rows, so none of them can miss a subcommand.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from modelbox.errors import nearest, shortened

__all__ = ["HELP_OPTIONS", "Command", "Parser", "no_arguments"]

HELP_OPTIONS = frozenset({"-h", "--help"})


def no_arguments(_parser: argparse.ArgumentParser) -> None:
    """Add no arguments."""


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
    begins_cell: bool = False
    """Whether it also gets along without the text of its cell, because the shell runs that."""
    example: str = ""
    """What follows ``%modelbox`` in a line that makes sense, shown by ``--help``."""

    @property
    def magic(self) -> str:
        """What a line with it begins with."""
        return f"{'%%' if self.takes_cell else '%'}modelbox {self.name}"

    def help(self) -> str:
        """Return what it does, its arguments, and an example."""
        text = Parser(self).format_help()
        return f"{text}\nexample:\n  {'%%' if self.takes_cell else '%'}modelbox {self.example}\n" if self.example else text


class Parser(argparse.ArgumentParser):
    """The parser of a subcommand, for a notebook: mistakes are one sentence, and nothing ends the kernel.

    Parameters
    ----------
    command
        The subcommand.
    """

    def __init__(self, command: Command) -> None:
        as_written = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=command.magic, description=command.summary, add_help=False, allow_abbrev=False, formatter_class=as_written)
        if command.takes_query:
            self.add_argument("query", nargs="*", help="which runs: metrics.loss.min < 0.1 and params.lr < 0.01 order by created limit 20")
        command.add_arguments(self)
        self.add_argument("-h", "--help", action="store_true", help="say this")

    @property
    def actions(self) -> Sequence[argparse.Action]:
        """The arguments and options, in their order."""
        return self._actions

    def parse(self, words: Sequence[str]) -> argparse.Namespace | None:
        """Return the arguments; ``None`` when help was asked for, whatever else is missing.

        Raises
        ------
        UsageError
            An option does not exist, or a value is missing or makes no sense.
        """
        if HELP_OPTIONS & set(words):
            return None
        arguments, unknown = self.parse_known_args(words)
        option = next((word.partition("=")[0] for word in unknown if word.startswith("-")), None)
        if option is not None:
            known = [name for action in self.actions for name in action.option_strings]
            raise UsageError(f"{self.prog} has no option {shortened(option)}. {nearest(option, known) or self._usage(known)}")
        if unknown:
            raise UsageError(f"{self.prog} does not know what to do with {shortened(unknown[0])}. {self.format_usage().strip()}")
        return arguments

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how it should be."""
        raise UsageError(f"{self.prog}: {message}. {self.format_usage().strip()}")

    @staticmethod
    def _usage(options: Iterable[str]) -> str:
        return f"There is: {', '.join(name for name in options if name.startswith('--'))}."
