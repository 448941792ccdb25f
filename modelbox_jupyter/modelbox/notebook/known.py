"""What the store knows by name, for completion: fetched in the background, kept for some seconds, and simply unknown while it is away."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelbox.client.shared import default_connection
from modelbox.entities.own_keys import is_own_series
from modelbox.wire import routes
from modelbox.wire.messages import ExperimentFrameQuery, PageQuery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelbox.client.connection import ModelBox

__all__ = ["Knowledge", "Known"]

_NEWEST = 200
_FRESH_S = 5.0
# A key that was pressed is answered within this time; what comes later is there for the next one.
_PATIENCE_S = 0.5


@dataclass(frozen=True, slots=True)
class Known:
    """Names in the newest experiments, those of the newest first."""

    names: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    @classmethod
    def of(cls, box: ModelBox) -> Known:
        """Ask the store of a connection; what this process has logged but not sent yet is not waited for."""
        frame = box.session.call(routes.FRAME_EXPERIMENTS, query=ExperimentFrameQuery(limit=_NEWEST))
        namespaces = box.session.call(routes.LIST_NAMESPACES, query=PageQuery()).items
        records = frame.experiments
        return cls(
            names=_distinct(record.name for record in records),
            ids=tuple(record.id for record in records),
            namespaces=_distinct([*(record.namespace for record in records), *(namespace.name for namespace in namespaces)]),
            groups=_distinct(record.group for record in records),
            owners=_distinct(record.owner for record in records),
            params=_distinct(key.removeprefix("params.") for key in frame.metadata.key if key.startswith("params.")),
            tags=_distinct(key.removeprefix("tags.") for key in frame.metadata.key if key.startswith("tags.")),
            metrics=_distinct(key for key in frame.metrics.key if not is_own_series(key)),
        )


class Knowledge:
    """Remembers what is :class:`Known`; never raises, and never keeps anybody waiting for long."""

    def __init__(self) -> None:
        self._known = Known()
        self._asked_s = float("-inf")
        self._asking: threading.Thread | None = None
        self._lock = threading.Lock()

    def now(self) -> Known:
        """Return what is known: at most some seconds old where the store answers."""
        with self._lock:
            asking = self._asking
            if asking is None and time.monotonic() - self._asked_s > _FRESH_S:
                asking = self._asking = threading.Thread(target=self._ask, name="modelbox-completion", daemon=True)
                asking.start()
        if asking is not None:
            asking.join(_PATIENCE_S)
        return self._known

    def forget(self) -> None:
        """Ask anew the next time."""
        self._asked_s = float("-inf")

    def _ask(self) -> None:
        try:
            self._known = Known.of(default_connection())
        except Exception:  # noqa: BLE001  (a key that was pressed is no question about the store)
            self._known = Known()
        finally:
            self._asked_s = time.monotonic()
            self._asking = None


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
