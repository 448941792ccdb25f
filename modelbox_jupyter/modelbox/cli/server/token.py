"""``modelbox server token``: what clients on other machines need, and people who open the web page."""

from __future__ import annotations

import json
import os
from urllib.parse import quote

import click

from modelbox.cli.output import example
from modelbox.cli.values import WholeNumber
from modelbox.errors import ConfigError, NotFound
from modelbox.settings import DEFAULT_PORT, servers_folder

__all__ = ["token"]


@click.command(epilog=example("server token --port 8085"))
@click.option("--port", type=WholeNumber(1, 65535), default=DEFAULT_PORT, show_default=True, help="The port it listens on.")
@click.option("--url", is_flag=True, help="Print the address of the web page with the token in it, to open in a browser.")
def token(port: int, *, url: bool) -> None:
    """Print the token of a server that runs here, for clients on other machines."""
    from modelbox_server.private_files import read_private

    path = servers_folder() / f"{port}.json"
    try:
        record = json.loads(read_private(path))
        found, address = record["token"], record["url"]
        os.kill(record["pid"], 0)
    except (FileNotFoundError, ProcessLookupError):  # one that was killed leaves its file behind
        raise NotFound(f"No server of yours runs on port {port}: start one, or say --port.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read: stop that server and start it again.") from error
    # Browsers keep what is behind the # to themselves: no server and no log ever sees it.
    click.echo(f"{address}/#token={quote(found, safe='')}" if url else found)
