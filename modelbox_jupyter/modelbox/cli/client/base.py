"""What all commands of ``modelbox client`` share: where the store is, and how results are printed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from modelbox.cli.client.output import Printer
from modelbox.cli.groups import CommandGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelbox.cli.client.output import Format
    from modelbox.client.connection import ModelBox
    from modelbox.client.tracked import TrackedObject

__all__ = ["ADDRESS_HELP", "Session", "client", "example", "formats", "with_session"]

ADDRESS_HELP = "host:8085, a URL, or the folder of a local store; searched for when left out (MODELBOX_API_ADDR)."

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class Session:
    """One call of the command."""

    address: str | None = None

    @cached_property
    def box(self) -> ModelBox:
        """The connection, opened by the first command that needs it."""
        # Opening a store loads much that --help does not need.
        from modelbox.client.connection import ModelBox

        return click.get_current_context().with_resource(ModelBox(self.address, provenance=False, system_metrics=False))

    def object(self, object_id: str) -> TrackedObject:
        """Return an object of any kind by its id."""
        from modelbox.client.tracked import TrackedObject

        return TrackedObject(self.box.session, object_id)


def _keep_address(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    del parameter
    if value is not None:
        context.ensure_object(Session).address = value


_address = click.option(
    "--address",
    expose_value=False,
    callback=_keep_address,
    metavar="ADDRESS",
    help=ADDRESS_HELP,
)


def with_session(function: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Give a command ``--address``, and the session as its first argument."""
    return _address(click.make_pass_decorator(Session, ensure=True)(function))


@click.group("client", cls=CommandGroup, words="client")
@_address
def client() -> None:
    """Log, list and compare experiments from a shell.

    The token of a server is taken from MODELBOX_API_TOKEN. With --json or --csv, results are for programs.
    """


def formats(function: Callable[P, R]) -> Callable[P, R]:
    """Give a command ``--json`` and ``--csv``; it gets a `printer`."""

    def chosen(context: click.Context, parameter: click.Parameter, value: Format) -> Printer:
        del context, parameter
        return Printer(value)

    flags = (
        click.option("--table", "printer", flag_value="table", default="table", type=str, callback=chosen, expose_value=True, hidden=True),
        click.option("--json", "printer", flag_value="json", type=str, callback=chosen, help="Print JSON."),
        click.option("--csv", "printer", flag_value="csv", type=str, callback=chosen, help="Print CSV."),
    )
    for flag in flags:
        function = flag(function)
    return function


def example(text: str) -> str:
    """Return the end of a help page: an example, kept on its own line."""
    return f"\b\nExample:\n  modelbox client {text}"
