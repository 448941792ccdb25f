"""``modelbox server init-config`` and ``check-config``: the file that a server is started from."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from modelbox.errors import Conflict, StorageError

__all__ = ["CONFIG_FILE", "check_config", "init_config"]

CONFIG_FILE = click.Path(path_type=Path)
"""Type of the parameters that name a configuration file; what is wrong with the file is said by who reads it."""

_CONFIG_NAME = "modelbox_server.toml"


@click.command("init-config")
@click.option("--path", default=_CONFIG_NAME, show_default=True, metavar="FILE", type=CONFIG_FILE, help="Where to.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init_config(path: Path, *, force: bool) -> None:
    """Write a configuration file to start from."""
    from modelbox_server.config.template import template

    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        # For this user alone: passwords are going to stand in it.
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        raise Conflict(f"{path} is there already: give another --path, or --force to replace it.") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror}): give a --path that this user can write to.") from error
    click.echo(f"config written to path: {path}")


@click.command("check-config")
@click.argument("path", metavar="FILE", type=CONFIG_FILE)
def check_config(path: Path) -> None:
    """Say what is wrong with a configuration file, or what it means."""
    from modelbox_server.config.loading import load_config
    from modelbox_server.config.stores import check_storage

    config = load_config(path, os.environ)
    check_storage(config)
    for name, value in config.shown().items():
        if value is not None:
            click.echo(f"{name} = {json.dumps(value)}")
