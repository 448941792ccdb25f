"""``modelbox server migrate``: bring the schemas of databases up to date, or say what that would do."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from modelbox.cli.output import example, formats
from modelbox.cli.server.config import CONFIG_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from modelbox.cli.output import Printer
    from modelbox_server.config.schemas import Schema

__all__ = ["apply", "plan", "status"]

P = ParamSpec("P")
R = TypeVar("R")

_NOTHING = "Nothing is left to do."


def _of_servers(function: Callable[P, R]) -> Callable[P, R]:
    option = click.option("--config-path", "-config-path", metavar="FILE", type=CONFIG_FILE, help="Configuration file of the servers.")
    return option(function)


@click.command(epilog=example("server migrate plan --config-path modelbox_server.toml"))
@_of_servers
@formats
def plan(printer: Printer, config_path: Path | None) -> None:
    """Say which steps the schemas lack; changes nothing."""
    with _schemas(config_path) as schemas:
        printer.rows(
            ("store", "database", "step", "name"),
            [(schema.role, schema.database, step.number, step.name) for schema in schemas for step in schema.migrations.status().pending],
            empty=_NOTHING,
        )


@click.command(epilog=example("server migrate apply --config-path modelbox_server.toml"))
@_of_servers
@formats
def apply(printer: Printer, config_path: Path | None) -> None:
    """Apply the steps that the schemas lack, in order.

    Any number of programs may do this at once: one of them applies a step, the others wait. A step that is interrupted stays pending and
    can be applied again. Nothing is ever dropped.
    """
    with _schemas(config_path) as schemas:
        printer.rows(
            ("store", "database", "step", "name"),
            [(schema.role, schema.database, step.number, step.name) for schema in schemas for step in schema.migrations.apply()],
            empty=_NOTHING,
        )


@click.command(epilog=example("server migrate status --config-path modelbox_server.toml"))
@_of_servers
@formats
def status(printer: Printer, config_path: Path | None) -> None:
    """Say which steps were applied when, and which are pending."""
    with _schemas(config_path) as schemas:
        printer.rows(
            ("store", "database", "step", "name", "applied at"), [row for schema in schemas for row in _steps(schema)], empty=_NOTHING
        )


def _steps(schema: Schema) -> Iterator[tuple[str, str, int, str, datetime | str]]:
    found = schema.migrations.status()
    for applied in found.applied:
        yield schema.role, schema.database, applied.number, applied.name, applied.at
    for pending in found.pending:
        yield schema.role, schema.database, pending.number, pending.name, "pending"


@contextmanager
def _schemas(config_path: Path | None) -> Iterator[list[Schema]]:
    from modelbox.errors import ConfigError
    from modelbox_server.config.loading import load_config
    from modelbox_server.config.schemas import configured_schemas
    from modelbox_server.config.stores import check_storage, database_settings

    config = load_config(config_path, os.environ)
    check_storage(config)
    if database_settings(config, "metadata_storage") is None and database_settings(config, "metrics_storage") is None:
        raise ConfigError(
            f"{config.source} names no database server: storage in files and in memory is brought up to date whenever it is opened."
        )
    log = logging.getLogger("modelbox_server")
    level = log.level
    # That steps are pending is what these commands are for, and no reason to warn.
    log.setLevel(logging.ERROR)
    try:
        with configured_schemas(config) as schemas:
            yield schemas
    finally:
        log.setLevel(level)
