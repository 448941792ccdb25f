"""``modelbox server init-config``, ``check-config``, ``show-config`` and ``settings``: the file that a server is started from."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from modelbox.cli.output import example, formats
from modelbox.cli.values import SettingName
from modelbox.errors import Conflict, NotFound, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelbox.cli.output import Printer
    from modelbox_server.config.loading import ServerConfig

__all__ = ["CONFIG_FILE", "check_config", "init_config", "may_be_insecure", "settings", "show_config"]

CONFIG_FILE = click.Path(path_type=Path)
"""Type of the parameters that name a configuration file; what is wrong with the file is said by who reads it."""

_CONFIG_NAME = "modelbox_server.toml"

P = ParamSpec("P")
R = TypeVar("R")


def may_be_insecure(function: Callable[P, R]) -> Callable[P, R]:
    """Give a command that reads a configuration file ``--allow-insecure-config``."""
    help_text = "Take a file with secrets in it although others than its owner can read it."
    return click.option("--allow-insecure-config", is_flag=True, help=help_text)(function)


@click.command("init-config", epilog=example("server init-config --path modelbox_server.toml"))
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


@click.command("check-config", epilog=example("server check-config modelbox_server.toml"))
@click.argument("path", metavar="FILE", type=CONFIG_FILE)
@may_be_insecure
def check_config(path: Path, *, allow_insecure_config: bool) -> None:
    """Say what is wrong with a configuration file, or what it means.

    All mistakes are told at once. Nothing is started, and no database is asked.
    """
    from modelbox_server.config.files import check_files
    from modelbox_server.config.loading import load_config
    from modelbox_server.config.stores import check_storage

    config = load_config(path, os.environ, allow_insecure=allow_insecure_config)
    check_storage(config)
    check_files(config)
    _print_settings(config)
    click.echo(f"{path} has no mistakes.", err=True)


@click.command("show-config", epilog=example("server show-config modelbox_server.toml"))
@click.argument("path", metavar="[FILE]", required=False, type=CONFIG_FILE)
def show_config(path: Path | None) -> None:
    """Print the settings that a server would have, from a file, the environment and the defaults.

    Secrets are masked.
    """
    from modelbox_server.config.loading import load_config

    # Showing, with secrets masked, makes nothing worse.
    _print_settings(load_config(path, os.environ, allow_insecure=True))


@click.command(epilog=example("server settings auth"))
@click.argument("part", type=SettingName(), default="")
@formats
def settings(printer: Printer, part: str) -> None:
    """Explain the settings of a configuration file; those with PART in their names."""
    from modelbox_server.config.table import SETTINGS
    from modelbox_server.config.template import default_of, values_of

    found = [setting for setting in SETTINGS if part in setting.path]
    if not found:
        raise NotFound.among("setting", part, [setting.path for setting in SETTINGS])
    if printer.format != "table":
        rows = [(one.path, values_of(one), default_of(one), one.variable, one.help) for one in found]
        printer.rows(("setting", "value", "default", "variable", "meaning"), rows)
        return
    formatter = click.HelpFormatter(width=min(shutil.get_terminal_size().columns, 100))
    for one in found:
        default = default_of(one)
        formatter.write(f"{one.path}\n")
        formatter.indent()
        formatter.write_text(one.help)
        formatter.write_text(f"Value: {values_of(one)}.{f' Default: {default}.' if default else ''} Variable: {one.variable}.")
        formatter.dedent()
    click.echo(formatter.getvalue().rstrip())


def _print_settings(config: ServerConfig) -> None:
    """Print what holds; not what belongs to storage that is not used."""
    from modelbox_server.config.table import SECTIONS

    idle = {section.name for section in SECTIONS if section.needed_by and config.text(section.needed_by[0]) != section.needed_by[1]}
    for name, value in config.shown().items():
        if value is not None and name.rpartition(".")[0] not in idle:
            click.echo(f"{name} = {json.dumps(value, ensure_ascii=False)}")
