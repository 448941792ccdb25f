"""What a server does by itself: it says that it is there, and one of those that share a store tidies up."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from modelbox.errors import ModelBoxError
from modelbox_server.service.leases import Lease
from modelbox_server.service.members import BEAT_S

if TYPE_CHECKING:
    from modelbox_server.wiring import Services

__all__ = ["Background"]

_log = logging.getLogger(__name__)

_TIDY_EVERY_S: Final = 60.0


class Background:
    """A thread beside the server.

    Parameters
    ----------
    services
        What it works on.
    collect_every_s
        How often garbage is collected; 0 for never.
    beat_s
        How often it says that this server is there, and renews its lease.
    """

    def __init__(self, services: Services, *, collect_every_s: float = 0.0, beat_s: float = BEAT_S) -> None:
        self._services = services
        self._collect_every_s = collect_every_s
        self._beat_s = beat_s
        self._stopped = threading.Event()
        self._trouble = ""
        self._lease = Lease(services.stores.metadata, "background", f"{socket.gethostname()}:{secrets.token_hex(8)}")
        self._beating = threading.Thread(target=self._beat, name="modelbox-background", daemon=True)
        self._tidying = threading.Thread(target=self._tidy, name="modelbox-tidying", daemon=True)

    @property
    def leads(self) -> bool:
        """Whether this server tidies up for all."""
        return self._lease.is_held

    def start(self) -> None:
        """Begin."""
        self._beating.start()
        self._tidying.start()

    def stop(self) -> None:
        """End, take this server off the list and let another one tidy up."""
        self._stopped.set()
        for thread in (self._beating, self._tidying):
            if thread.is_alive():
                thread.join()
        self._attempt("leave", self._services.members.leave)
        self._attempt("give the lease back", self._lease.release)

    def _beat(self) -> None:
        while not self._stopped.is_set():
            self._attempt("say that it is there", self._services.members.beat)
            self._attempt("renew its lease", self._lease.acquire)
            self._stopped.wait(self._beat_s)

    def _tidy(self) -> None:
        due_s = time.monotonic() + self._collect_every_s
        while not self._stopped.wait(min(_TIDY_EVERY_S, self._collect_every_s or _TIDY_EVERY_S)):
            if not self.leads:
                continue
            self._attempt("forget servers that are gone", self._services.members.forget_the_gone)
            if self._collect_every_s and time.monotonic() >= due_s:
                self._attempt("collect garbage", lambda: self._services.garbage.collect(may_go_on=self._may_go_on))
                due_s = time.monotonic() + self._collect_every_s

    def _may_go_on(self) -> bool:
        return self.leads and not self._stopped.is_set()

    def _attempt(self, what: str, work: Callable[[], object]) -> None:
        try:
            work()
        except ModelBoxError as error:
            # Said once, not every two seconds for as long as a database is away.
            if error.detail != self._trouble:
                self._trouble = error.detail
                _log.info("This server could not %s: %s", what, error.detail)
        except Exception:  # noqa: BLE001  (this thread has to go on)
            # Whatever it was, the next round is another try, and nobody else would see it.
            _log.exception("This server could not %s.", what)
        else:
            if self._trouble:
                self._trouble = ""
                _log.info("The storage of this server is back.")
