"""When something changed: wakes those who watch, whichever server of a store made the change.

One thread per process asks for the last change event a few times a second while somebody watches, or waits for word from the database where
that can send it (PostgreSQL). Each watcher then asks for its own changes.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final, cast

from modelbox.entities.records import ChangeEvent
from modelbox.errors import ModelBoxError
from modelbox_server.storage.interfaces import ChangeListener, MetadataStore, Order

__all__ = ["ChangePulse"]

_log = logging.getLogger(__name__)

_POLL_S: Final = 0.2
_LISTEN_S: Final = 0.5
"""How long word is waited for before asking all the same: connections break, and poolers do not pass it on."""


class ChangePulse:
    """Calls whoever wants to know after each change.

    Parameters
    ----------
    metadata
        Where changes are.
    """

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata
        self._lock = threading.Lock()
        self._wants: set[Callable[[], None]] = set()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Call `wake` from a thread of ours after each change from now on; it must not block."""
        with self._lock:
            self._wants.add(wake)
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="modelbox-pulse", daemon=True)
                self._thread.start()

    def unsubscribe(self, wake: Callable[[], None]) -> None:
        """Call it no more."""
        with self._lock:
            self._wants.discard(wake)

    def close(self) -> None:
        """Stop for good."""
        self._stopped.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        listener = self._listener()
        last = -1
        try:
            while self._goes_on():
                if listener is None:
                    self._stopped.wait(_POLL_S)
                else:
                    listener.wait(_LISTEN_S)
                try:
                    now = self._last()
                except ModelBoxError as error:
                    _log.debug("Changes cannot be seen now: %s", error.detail)
                    self._stopped.wait(_POLL_S)
                    continue
                if now != last:
                    last = now
                    self._wake()
        finally:
            if listener is not None:
                listener.close()

    def _goes_on(self) -> bool:
        with self._lock:
            if self._wants and not self._stopped.is_set():
                return True
            self._thread = None  # inside the lock: whoever subscribes now starts another
            return False

    def _listener(self) -> ChangeListener | None:
        listen = getattr(self._metadata, "listener", None)
        return None if listen is None else cast(ChangeListener, listen())

    def _last(self) -> int:
        with self._metadata.read() as tx:
            found = tx.select(ChangeEvent, order=Order("seq", descending=True), limit=1)
        return found[0].seq if found else 0

    def _wake(self) -> None:
        with self._lock:
            wants = list(self._wants)
        for wake in wants:
            wake()
