"""Groups of commands that load a command only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import click
from click.shell_completion import CompletionItem

from modelbox.cli.commands import COMMANDS
from modelbox.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbox.cli.commands import Entry

__all__ = ["HELP_OPTIONS", "CommandGroup"]

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
"""Settings of click's context: how help is asked for."""


class CommandGroup(click.Group):
    """The commands of one group of :data:`modelbox.cli.commands.COMMANDS`.

    Parameters
    ----------
    words
        What is typed for the group after ``modelbox``; empty for ``modelbox`` itself.
    commands
        The list to take from, which tests replace.
    settings
        As for :class:`click.Group`.
    """

    def __init__(self, words: str = "", commands: Sequence[Entry] = COMMANDS, **settings: Any) -> None:
        super().__init__(**{"context_settings": HELP_OPTIONS, "subcommand_metavar": "COMMAND ...", **settings})
        self._all = commands
        self._entries = {entry.name: entry for entry in commands if entry.group == words and entry.words}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of their list."""
        del ctx
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name, loading its module."""
        del ctx
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        if not entry.home:
            return CommandGroup(entry.words, self._all, name=entry.name, help=entry.summary)
        module, _, name = entry.home.partition(":")
        return cast("click.Command", getattr(import_module(module), name))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first word means."""
        word = args[0]
        if word not in self._entries and not word.startswith("-") and not ctx.resilient_parsing:
            tail = nearest(word, self._entries) or self._elsewhere(word)
            raise click.UsageError(f"There is no command {word!r}. {tail}".rstrip(), ctx)
        return super().resolve_command(ctx, args)

    def _elsewhere(self, word: str) -> str:
        """Say which commands of other groups have this name."""
        found = [f"'modelbox {entry.words}'" for entry in self._all if entry.name == word]
        return f"Did you mean {' or '.join(found)}?" if found else f"There is: {', '.join(self._entries)}."

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.summary) for entry in self._entries.values()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, and the options of the group."""
        found = [CompletionItem(name, help=entry.summary) for name, entry in self._entries.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)
