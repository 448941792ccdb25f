"""``modelbox sync``: send what other processes left in their journals, or still write to them without sending it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelbox.cli.client.base import ADDRESS_HELP
from modelbox.cli.output import example
from modelbox.errors import InvalidRequest, NotFound, ServerUnreachable

if TYPE_CHECKING:
    from modelbox.client.catchup import SyncReport
    from modelbox.client.connection import ModelBox

__all__ = ["sync"]

_WATCH_S = 2.0


@click.command(epilog=example("sync --timeout 30"))
@click.argument("folder", required=False)
@click.option("--to", "--address", "address", metavar="ADDRESS", help=ADDRESS_HELP)
@click.option("--query", metavar="QUERY", help="Which experiments of the local store; all, and all models, when left out.")
@click.option("--timeout", "timeout_s", type=float, default=60.0, show_default=True, metavar="SECONDS", help="How long to try.")
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C, sending what is written from now on as well.")
def sync(folder: str | None, address: str | None, query: str | None, timeout_s: float, *, watch: bool) -> None:
    """Send what processes that have ended, or are offline, left behind.

    FOLDER holds the journals of offline runs, or a copy of them; those of this machine when it is left out. The word local stands for your
    own store: what it has goes to another one, such as --to shared, and what that has already is left alone.
    """
    if folder == "local" or query is not None:
        _publish(folder, address, query)
        return
    # Opening a store loads much that --help does not need.
    from modelbox.client.connection import ModelBox

    if folder is not None and not watch and not Path(folder).expanduser().is_dir():
        raise NotFound(f"There is no folder {folder}: give the folder of a journal, or one that holds journals.")
    with ModelBox(address, mode="online") as box:
        box.info()  # says at once what is wrong with a store that does not answer
        if watch:
            _watch(box, folder, timeout_s)
            return
        report = box.sync(folder, timeout_s=timeout_s)
        _tell(report)
        if not report:
            what = f"{report.pending} points and {report.pending_operations} creations and notes"
            raise ServerUnreachable(f"{what} could not be sent within {timeout_s:g} s: they stay in their journals.")


def _publish(folder: str | None, address: str | None, query: str | None) -> None:
    from modelbox.client import sync as client

    if folder != "local":
        raise InvalidRequest("--query is for 'modelbox sync local': journals are sent as they are.", field="query")
    sys.stdout.write(f"{client.sync('local', to=address, query=query)}\n")


def _watch(box: ModelBox, folder: str | None, timeout_s: float) -> None:
    from modelbox.client.spool import spool_of

    while True:
        report = box.sync(folder or spool_of(box.where), timeout_s=timeout_s)
        if report.journals:
            _tell(report)
        time.sleep(_WATCH_S)


def _tell(report: SyncReport) -> None:
    rejected = f", {report.rejected} refused and kept in the folder rejected" if report.rejected else ""
    notes = f" and {report.operations} creations and notes" if report.operations else ""
    sys.stdout.write(f"{report.sent} points{notes} sent from {report.journals} journals{rejected}\n")
    sys.stdout.flush()
