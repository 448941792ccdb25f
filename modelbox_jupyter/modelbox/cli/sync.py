"""``modelbox sync``: send what other processes left in their journals, or still write to them without sending it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from modelbox.errors import NotFound, ServerUnreachable

if TYPE_CHECKING:
    import argparse

    from modelbox.client.catchup import SyncReport
    from modelbox.client.connection import ModelBox

__all__ = ["add_sync", "run_sync"]

_WATCH_S = 2.0


def add_sync(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser of ``modelbox``."""
    sync = commands.add_parser("sync", help="send what processes that have ended, or are offline, left behind")
    sync.add_argument(
        "folder",
        nargs="?",
        metavar="FOLDER",
        help="journals of offline runs, or a copy of them; those of this machine",
    )
    sync.add_argument(
        "--to",
        "--address",
        dest="address",
        metavar="ADDRESS",
        help="host:8085, a URL, or the folder of a store; searched when left out",
    )
    sync.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="how long to try (60)")
    sync.add_argument("--watch", action="store_true", help="go on until Ctrl-C, sending what is written from now on as well")


def run_sync(options: argparse.Namespace) -> int:
    """Carry out the command.

    Raises
    ------
    NotFound
        The folder is not there.
    ServerUnreachable
        Points are left that could not be sent in the given time; they stay in their journals.
    """
    from modelbox.client.connection import ModelBox

    if options.folder is not None and not options.watch and not Path(options.folder).expanduser().is_dir():
        raise NotFound(f"There is no folder {options.folder}: give the folder of a journal, or one that holds journals.")
    with ModelBox(options.address, mode="online") as box:
        box.info()  # says at once what is wrong with a store that does not answer
        if options.watch:
            _watch(box, options)
            return 0
        report = box.sync(options.folder, timeout_s=options.timeout)
        _tell(report)
        if not report:
            what = f"{report.pending} points and {report.pending_operations} creations and notes"
            raise ServerUnreachable(f"{what} could not be sent within {options.timeout:g} s: they stay in their journals.")
    return 0


def _watch(box: ModelBox, options: argparse.Namespace) -> None:
    from modelbox.client.spool import spool_of

    try:
        while True:
            report = box.sync(options.folder or spool_of(box.where), timeout_s=options.timeout)
            if report.journals:
                _tell(report)
            time.sleep(_WATCH_S)
    except KeyboardInterrupt:
        return


def _tell(report: SyncReport) -> None:
    rejected = f", {report.rejected} refused and kept in the folder rejected" if report.rejected else ""
    notes = f" and {report.operations} creations and notes" if report.operations else ""
    sys.stdout.write(f"{report.sent} points{notes} sent from {report.journals} journals{rejected}\n")
    sys.stdout.flush()
