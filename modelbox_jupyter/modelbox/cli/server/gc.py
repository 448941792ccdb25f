"""``modelbox server gc``: remove what no record refers to any more."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelbox.cli.output import example, formats
from modelbox.cli.server.config import CONFIG_FILE

if TYPE_CHECKING:
    from modelbox.cli.output import Printer

__all__ = ["gc"]


@click.command(epilog=example("server gc --config-path modelbox_server.toml --dry-run"))
@click.option("--config-path", "-config-path", metavar="FILE", type=CONFIG_FILE, help="Configuration file of the servers.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--grace-s", type=click.FloatRange(min=0), help="Spare bytes for so many seconds after they were stored.", metavar="SECONDS")
@formats
def gc(printer: Printer, config_path: Path | None, grace_s: float | None, *, dry_run: bool) -> None:
    """Remove bytes and points that nothing refers to, and what broken uploads left.

    Servers may go on working meanwhile. Bytes that were stored within the grace period are spared.
    """
    from modelbox_server.config.loading import load_config
    from modelbox_server.config.stores import check_shared, configured_services

    config = load_config(config_path, os.environ)
    check_shared(config)
    # A database that is away is the error of this command, not a warning before it.
    logging.getLogger("modelbox_server").addHandler(logging.NullHandler())
    services = configured_services(config)
    try:
        found = services.garbage.collect(grace_s=grace_s, dry_run=dry_run)
    finally:
        services.close()
    if printer.format != "table":
        printer.row({**asdict(found), "dry_run": dry_run})
        return
    verb = "would be removed" if dry_run else "were removed"
    spared_s = config.number("garbage.grace_s") if grace_s is None else grace_s
    spared = f" What was stored within the last {spared_s:g} s is spared." if spared_s else ""
    click.echo(
        f"{_counted(found.blobs, 'content')} ({found.blob_bytes} bytes), {_counted(found.leftovers, 'leftover')} of uploads "
        f"({found.leftover_bytes} bytes) and {_counted(found.points, 'point')} {verb}.{spared}"
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
