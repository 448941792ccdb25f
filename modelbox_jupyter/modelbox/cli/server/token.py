"""``modelbox server token``: what clients on other machines need."""

from __future__ import annotations

import json

import click

from modelbox.cli.output import example
from modelbox.cli.values import WholeNumber
from modelbox.errors import ConfigError, NotFound
from modelbox.settings import DEFAULT_PORT, servers_folder

__all__ = ["token"]


@click.command(epilog=example("server token --port 8085"))
@click.option("--port", type=WholeNumber(1, 65535), default=DEFAULT_PORT, show_default=True, help="The port it listens on.")
def token(port: int) -> None:
    """Print the token of a server that runs here, for clients on other machines."""
    path = servers_folder() / f"{port}.json"
    try:
        found = json.loads(path.read_bytes())["token"]
    except FileNotFoundError:
        raise NotFound(f"No server of yours runs on port {port}: start one, or say --port.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read: stop that server and start it again.") from error
    click.echo(found)
