"""The ``modelbox`` command: experiments from a shell, where they go, whether the installation is sound, and a server of your own.

Errors are one sentence on stderr, or a list of what is wrong with a file; the exit codes stand in :mod:`modelbox.cli.exits`. The commands
are listed in :mod:`modelbox.cli.commands`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from modelbox.cli.completion import COMPLETION_VARIABLE, complete
from modelbox.cli.exits import EXIT_CODES, INTERRUPTED, READER_LEFT
from modelbox.cli.groups import CommandGroup
from modelbox.cli.literals import literal
from modelbox.errors import ModelBoxError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "program"]


def _print_version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    del parameter
    if wanted and not context.resilient_parsing:
        # Reading the metadata of the installation takes longer than all the rest.
        from modelbox import __version__

        click.echo(f"modelbox {__version__}")
        context.exit()


_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())


@click.group("modelbox", cls=CommandGroup, epilog=_EPILOG, invoke_without_command=True)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version and exit.")
@click.pass_context
def program(context: click.Context) -> None:
    """Log, query and compare machine-learning experiments."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if instruction := os.environ.get(COMPLETION_VARIABLE):
        return complete(program, instruction)
    try:
        with program.make_context("modelbox", words) as context:
            program.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _refuse(error)
    except ModelBoxError as error:
        _say(error.detail)
        return error.exit_code
    except (click.Abort, EOFError, KeyboardInterrupt):
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # behind the ^C
        return INTERRUPTED
    except BrokenPipeError:
        # What is still in the buffer must not fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT
    return 0


def _refuse(error: click.ClickException) -> int:
    if isinstance(error, click.NoSuchOption):
        # Each version of click says it in other words.
        _say(f"There is no option {error.option_name!r}. {nearest(error.option_name, error.possibilities or ())}".rstrip())
    else:
        _say(error.format_message())
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        sys.stderr.write(f"{context.get_usage()}\nTry '{context.command_path} --help'.\n")
    return error.exit_code


def _say(message: str) -> None:
    # A message may quote a name that somebody else chose.
    lines = [literal(line) for line in message.splitlines()]
    sys.stderr.write("\n".join([f"modelbox: {lines[0]}", *lines[1:]]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
