"""Leases: work that one of several servers does at a time.

Nobody compares clocks. Whoever holds a lease renews it, which counts up a number; whoever wants it watches that number by its own clock
and takes the lease over once it stood still for more than the whole term. So a holder that was killed is followed soon after it, and one
that lost its database for as long knows by its own clock that it must stop.
"""

import threading
import time
from collections.abc import Callable

from modelbox.entities.records import LeaseRecord
from modelbox.errors import StorageUnavailable
from modelbox_server.storage.interfaces import MetadataStore

__all__ = ["Lease"]

_PATIENCE = 1.25
"""Terms that others wait: more than one, as no two clocks run alike."""


class Lease:
    """One server's claim to a piece of work. Safe to use from several threads.

    Parameters
    ----------
    metadata
        Where the lease is.
    name
        What the work is called.
    holder
        Who this server is: different for each, also after a restart.
    term_s
        How long it is held after a renewal.
    monotonic_s
        Seconds that never run backwards.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        name: str,
        holder: str,
        *,
        term_s: float = 15.0,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metadata = metadata
        self._name = name
        self._holder = holder
        self._term_s = term_s
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._seen: tuple[str, int, float] | None = None  # holder, number, and since when it stands still
        self._held_until_s = float("-inf")

    @property
    def is_held(self) -> bool:
        """Whether this server may do the work now; to be asked again between small pieces of it."""
        return self._monotonic_s() < self._held_until_s

    def acquire(self) -> bool:
        """Take, or renew, the lease if that is possible now, and return whether this server holds it.

        To be called a few times per term. While the store is away, the lease is held until its term is over.
        """
        with self._lock:
            try:
                self._try()
            except StorageUnavailable:
                return self.is_held
            return self.is_held

    def release(self) -> None:
        """Let others have it at once."""
        with self._lock:
            if not self.is_held:
                return
            self._held_until_s = float("-inf")
            with self._metadata.write(self._name) as tx:
                found = tx.get(LeaseRecord, self._name)
                if found is not None and found.holder == self._holder:
                    tx.put([LeaseRecord(name=self._name, holder="", number=found.number + 1)])

    def _try(self) -> None:
        # The term counts from before the renewal: the others count theirs from after it.
        now_s = self._monotonic_s()
        with self._metadata.write(self._name) as tx:
            found = tx.get(LeaseRecord, self._name)
            if found is not None and found.holder not in {"", self._holder}:
                if self._seen is None or self._seen[:2] != (found.holder, found.number):
                    self._seen = (found.holder, found.number, now_s)
                if now_s - self._seen[2] < _PATIENCE * self._term_s:
                    self._held_until_s = float("-inf")
                    return
            number = 0 if found is None else found.number + 1
            tx.put([LeaseRecord(name=self._name, holder=self._holder, number=number)])
        self._held_until_s = now_s + self._term_s
