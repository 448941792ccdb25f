"""What all commands of ``modelbox client`` share: where the store is, and how results are printed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from modelbox.cli.groups import CommandGroup
from modelbox.entities.ids import is_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelbox.client.connection import ModelBox
    from modelbox.client.experiment import Experiment
    from modelbox.client.tracked import TrackedObject

__all__ = ["ADDRESS_HELP", "Session", "client", "with_session"]

ADDRESS_HELP = "host:8085, a URL, the folder of a local store, local, or shared; searched for when left out (MODELBOX_API_ADDR)."

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

        # Whoever reads an exit code wants to know what has arrived, not that it waits in a journal.
        return click.get_current_context().with_resource(ModelBox(self.address, strict=True, provenance=False, system_metrics=False))

    def experiment(self, text: str) -> Experiment:
        """Return an experiment by its id, the beginning of it, or its name: the newest that has it."""
        from modelbox.client.find import find_experiment

        return find_experiment(self.box, text)

    def object(self, text: str) -> TrackedObject:
        """Return an object of any kind by its id, or an experiment as :meth:`experiment` does."""
        from modelbox.client.tracked import TrackedObject

        return TrackedObject(self.box.session, text) if is_id(text) else self.experiment(text)


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
