"""``modelbox help``: what ``--help`` says, and what the exit codes mean."""

from __future__ import annotations

import click

from modelbox.cli.exits import EXIT_CODES
from modelbox.cli.output import example

__all__ = ["explain"]

_TOPIC = "exit-codes"


@click.command("help", epilog=example("help client experiments list"))
@click.argument("words", metavar="[COMMAND...]", nargs=-1)
@click.pass_context
def explain(context: click.Context, words: tuple[str, ...]) -> None:
    """Explain a command, or with exit-codes what the exit codes mean."""
    if words == (_TOPIC,):
        click.echo("\n".join(f"{code:>3}  {meaning}" for code, meaning in EXIT_CODES.items()))
        return
    here = context.find_root()
    for word in words:
        if not isinstance(here.command, click.Group):
            raise click.UsageError(f"'{here.command_path}' has no commands of its own.", context)
        name, command, _ = here.command.resolve_command(here, [word])
        if command is not None:
            here = click.Context(command, info_name=name, parent=here)
    click.echo(here.get_help())
