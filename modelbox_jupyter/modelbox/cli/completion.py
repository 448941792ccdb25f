"""``modelbox completion``: what a shell needs to complete commands, options and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click
from click.shell_completion import get_completion_class, shell_complete

from modelbox.cli.output import example

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

__all__ = ["COMPLETION_VARIABLE", "complete", "completion"]

COMPLETION_VARIABLE = "_MODELBOX_COMPLETE"
"""Environment variable by which the scripts ask."""

_PROGRAM = "modelbox"
_INSTALL = """\b
For bash: echo 'eval "$(modelbox completion bash)"' >> ~/.bashrc
For zsh, behind compinit: echo 'eval "$(modelbox completion zsh)"' >> ~/.zshrc
For fish: modelbox completion fish > ~/.config/fish/completions/modelbox.fish

"""


@click.command(epilog=_INSTALL + example("completion bash"))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete commands, options and values.

    Values, such as the names of experiments, are asked from the store, for a second at most.
    """
    root = context.find_root().command
    script = cast("type[ShellComplete]", get_completion_class(shell))(root, {}, _PROGRAM, COMPLETION_VARIABLE)
    click.echo(script.source())


def complete(program: click.Command, instruction: str) -> int:
    """Answer a script: print what could stand where the cursor is; nothing where that cannot be told."""
    try:
        return shell_complete(program, {}, _PROGRAM, COMPLETION_VARIABLE, instruction)
    except Exception:  # noqa: BLE001  (the shell would print it between the words that are being typed)
        return 1
