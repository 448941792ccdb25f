"""The configuration of clients."""

from __future__ import annotations

from pathlib import Path

import click

from modelbox.cli.output import example
from modelbox.errors import Conflict, StorageError
from modelbox.settings import CLIENT_CONFIG, DEFAULT_PORT

__all__ = ["init_config"]

_TEMPLATE = f"""# Where the clients that are started in this folder keep their experiments.
server_addr = ":{DEFAULT_PORT}"
"""


@click.command("init-config", epilog=example("client init-config --path modelbox_client.toml"))
@click.option("--path", default=CLIENT_CONFIG, show_default=True, type=click.Path(dir_okay=False, path_type=Path), help="Where to.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init_config(path: Path, *, force: bool) -> None:
    """Write a configuration file that clients started in this folder find."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(_TEMPLATE)
    except FileExistsError:
        raise Conflict(f"{path} is there already: give another --path, or --force to replace it.") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror}): give a --path that this user can write to.") from error
    click.echo(f"config written to path: {path}")
