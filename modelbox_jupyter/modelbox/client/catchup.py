"""Catching up: points that ended processes left in their journals are sent by whoever comes next, without a command.

A journal belongs to the process that holds its lock. When that process ends, however it ends, the lock is free, and the first to take it
goes on where the other stopped: the same batches under the same numbers, so that what had arrived already is not stored twice.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelbox.client.sender import Sender
from modelbox.client.spool import SpooledJournal, adopted, journals_in

if TYPE_CHECKING:
    from pathlib import Path

    from modelbox.client.transport import Transport

__all__ = ["CatchUp", "SyncReport", "send_journals"]

_logger = logging.getLogger("modelbox")
_LOOK_UP_S = 0.5


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What became of the journals that ended processes left; true when nothing is left to send.

    Parameters
    ----------
    journals
        How many were taken over.
    sent
        Points that the store has now.
    pending
        Points that could not be sent in the given time; they stay in their journals.
    rejected
        Points that the store refused for good; they lie in the folder ``rejected`` beside the journals.
    """

    journals: int = 0
    sent: int = 0
    pending: int = 0
    rejected: int = 0

    def __bool__(self) -> bool:
        return not self.pending

    def __add__(self, later: SyncReport) -> SyncReport:
        # What was pending is part of what came later.
        return SyncReport(self.journals + later.journals, self.sent + later.sent, later.pending, self.rejected + later.rejected)


def send_journals(
    transport: Transport, folder: Path, *, timeout_s: float | None = None, stopped: threading.Event | None = None
) -> SyncReport:
    """Send every journal below `folder` whose owner has ended, one after the other.

    Parameters
    ----------
    transport
        Where to.
    folder
        The journals of a store, or a single journal, perhaps copied from another machine.
    timeout_s
        How long to try; as long as it takes when left out.
    stopped
        Ends it early.
    """
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    stopped = stopped or threading.Event()
    report = SyncReport()
    for path in journals_in(folder):
        try:
            journal = None if stopped.is_set() else adopted(path)
        except OSError as error:
            _logger.warning("ModelBox: the journal in %s cannot be read (%s); it is kept.", path, error.strerror or error)
            continue
        if journal is None:
            continue
        sender = _sender_of(transport, path.parent, journal)
        while not sender.flush(_look_up_s(deadline_s)) and not stopped.is_set() and not _is_over(deadline_s):
            pass
        tally = sender.tally()
        sender.close(0)
        report = SyncReport(
            report.journals + 1,
            report.sent + tally.acknowledged,
            report.pending + tally.pending,
            report.rejected + tally.rejected,
        )
    return report


def _sender_of(transport: Transport, root: Path, journal: SpooledJournal) -> Sender:
    # A forked child gets an empty journal: this one stays with its parent.
    first = iter((journal,))
    return Sender(transport, make_journal=lambda: next(first, None) or SpooledJournal(root))


def _look_up_s(deadline_s: float | None) -> float:
    return _LOOK_UP_S if deadline_s is None else max(0.0, min(_LOOK_UP_S, deadline_s - time.monotonic()))


def _is_over(deadline_s: float | None) -> bool:
    return deadline_s is not None and time.monotonic() >= deadline_s


class CatchUp:
    """Sends journals in the background, for as long as a connection is open.

    Parameters
    ----------
    transport
        Where to.
    root
        The journals of the store.
    """

    def __init__(self, transport: Transport, root: Path) -> None:
        self._transport = transport
        self._root = root
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._report = SyncReport()

    def start(self) -> None:
        """Begin, if there is anything to send."""
        if next(journals_in(self._root), None) is not None:
            self._thread = threading.Thread(target=self._run, name="modelbox-catch-up", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        self._report = send_journals(self._transport, self._root, stopped=self._stopped)

    def finish(self, timeout_s: float | None = None) -> SyncReport:
        """Wait for what was begun, send what came since, and return what became of all of it."""
        begin_s = time.monotonic()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                # It goes on where it stopped, below or with the next connection; only it knows how much is left.
                self._stopped.set()
                self._thread.join()
                self._stopped.clear()
            self._thread = None
        left_s = None if timeout_s is None else max(0.0, timeout_s - (time.monotonic() - begin_s))
        self._report += send_journals(self._transport, self._root, timeout_s=left_s, stopped=self._stopped)
        return self._report

    def close(self) -> None:
        """Stop; what is not sent stays for the next."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_LOOK_UP_S * 4)
