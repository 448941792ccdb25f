"""The group of commands, and how one call of it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modelbox.cli.client.base import Session
from modelbox.cli.client.config import init_config
from modelbox.cli.client.contents import artifacts, cluster_members, events, metrics, query, sql, watch
from modelbox.cli.client.objects import checkpoints, experiments, models, versions

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["client", "run_client"]

_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--address", envvar="MODELBOX_API_ADDR", help="host:8085, a URL, or the folder of a local store; searched for when left out.")
@click.pass_context
def client(context: click.Context, address: str | None) -> None:
    """Log, list and compare experiments from a shell.

    The token of a server is taken from MODELBOX_API_TOKEN. With --json or --csv, results are for programs.
    """
    context.obj = Session(address)


for _command in (init_config, experiments, checkpoints, models, versions, artifacts, metrics, events, watch, cluster_members, query, sql):
    client.add_command(_command)


def run_client(arguments: Sequence[str]) -> int:
    """Carry out one call and return its exit code.

    Raises
    ------
    ModelBoxError
        As the command raises it.
    """
    try:
        client.main(list(arguments), prog_name="modelbox client", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("", err=True)
        return _INTERRUPTED
    return 0
