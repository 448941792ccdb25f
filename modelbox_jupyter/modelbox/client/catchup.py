"""Catching up: what ended processes left in their journals is sent by whoever comes next, without a command.

A journal is sent by the process that holds its lock. When that process ends, however it ends, the lock is free, and the first to take it
goes on where the other stopped: the same batches under the same numbers, so that what had arrived already is not stored twice. A process
that is offline never takes the lock: what it has written so far may be sent while it goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelbox.client.sender import Sender
from modelbox.client.spool import SpooledJournal, adopted, journals_in
from modelbox.errors import ModelBoxError

if TYPE_CHECKING:
    from pathlib import Path

    from modelbox.client.operations import Operation
    from modelbox.client.transport import Transport

__all__ = ["CatchUp", "SyncReport", "send_journals"]

_logger = logging.getLogger("modelbox")
_LOOK_UP_S = 0.5


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What became of the journals that other processes left; true when nothing is left to send.

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
    operations, pending_operations
        Creations, metadata, events and files that were sent, and that could not be sent yet.
    """

    journals: int = 0
    sent: int = 0
    pending: int = 0
    rejected: int = 0
    operations: int = 0
    pending_operations: int = 0

    def __bool__(self) -> bool:
        return not self.pending and not self.pending_operations

    def __add__(self, later: SyncReport) -> SyncReport:
        # What was pending is part of what came later.
        return SyncReport(
            self.journals + later.journals,
            self.sent + later.sent,
            later.pending,
            self.rejected + later.rejected,
            self.operations + later.operations,
            later.pending_operations,
        )


def send_journals(
    transport: Transport, folder: Path, *, timeout_s: float | None = None, stopped: threading.Event | None = None
) -> SyncReport:
    """Send every journal below `folder` whose owner has ended or is offline.

    Experiments are created first, whichever journal has their creation: others may have points of them.

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
    with ExitStack() as stack:
        taken = [(path, journal) for path in journals_in(folder) if not stopped.is_set() and (journal := _take_over(path)) is not None]
        for _, journal in taken:
            stack.callback(journal.close)
        if len(taken) > 1:
            _create_first(transport, [creation for _, journal in taken for creation in journal.creations()])
        for path, journal in taken:
            if stopped.is_set():
                break
            sender = _sender_of(transport, path.parent, journal)
            try:
                while not sender.flush(_look_up_s(deadline_s)) and not stopped.is_set() and not _is_over(deadline_s):
                    pass
            finally:  # also after Ctrl-C
                tally = sender.tally()
                sender.close(0)
            report = SyncReport(
                report.journals + 1,
                report.sent + tally.acknowledged,
                report.pending + tally.pending,
                report.rejected + tally.rejected,
                report.operations + tally.settled_operations,
                report.pending_operations + tally.pending_operations,
            )
    return report


def _take_over(path: Path) -> SpooledJournal | None:
    try:
        return adopted(path)
    except OSError as error:
        _logger.warning("ModelBox: the journal in %s cannot be read (%s); it is kept.", path, error.strerror or error)
        return None


def _create_first(transport: Transport, creations: list[Operation]) -> None:
    for creation in creations:
        try:
            creation.carry_out(transport)
        except ModelBoxError:  # the sender comes to it, and knows what to do
            continue


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
        self._waited = False
        self._report = SyncReport()

    def start(self) -> None:
        """Begin, if there is anything to send."""
        if next(journals_in(self._root), None) is not None:
            self._thread = threading.Thread(target=self._run, name="modelbox-catch-up", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        self._report = send_journals(self._transport, self._root, stopped=self._stopped)

    def settle(self, timeout_s: float) -> None:
        """Wait for what was begun before something is read for the first time: the runs of a killed kernel are there for the next one."""
        if self._thread is not None and not self._waited:
            self._waited = True
            self._thread.join(timeout_s)

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
