"""What the metadata stores of database servers have in common: they may be away, and other servers of ours use them at the same time."""

import hashlib
import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import cast

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from modelbox.errors import Collided, StorageUnavailable
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.metadata.dialect import SqlDialect
from modelbox_server.storage.metadata.sql import SqlMetadataStore

__all__ = ["ServerMetadataStore", "collided", "lock_numbers"]

_log = logging.getLogger(__name__)

_TRY_AGAIN_S = 1.0


class ServerMetadataStore(SqlMetadataStore):
    """A metadata store whose database may be away when it is opened, and come back.

    Parameters
    ----------
    engine, dialect
        As :class:`~modelbox_server.storage.metadata.sql.SqlMetadataStore` takes them.
    settings
        Where the database is.
    """

    def __init__(self, engine: sa.Engine, dialect: SqlDialect, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._ready = False
        self._becoming_ready = threading.Lock()
        self._refused: tuple[float, StorageUnavailable] | None = None
        super().__init__(engine, dialect, wait_s=settings.lock_wait_s)

    def pool_status(self) -> Mapping[str, int]:
        """Return how many connections there may be, are open, and are in use now; costs nothing."""
        pool = cast(QueuePool, self._engine.pool)
        in_use = pool.checkedout()
        return {"size": self._settings.pool_size, "open": in_use + pool.checkedin(), "in_use": in_use}

    def _begin(self) -> None:
        try:
            self._become_ready()
        except StorageUnavailable as error:
            _log.warning("%s Until then calls that need it are refused.", error)

    def _renew(self) -> None:
        super()._renew()
        self._becoming_ready = threading.Lock()

    def _require_ready(self) -> None:
        if self._ready or self._closed:
            return
        if not self._becoming_ready.acquire(timeout=self._settings.connect_timeout_s):
            raise StorageUnavailable(f"The database {self._settings} is being looked for: try again.", retry_after_s=_TRY_AGAIN_S)
        try:
            if self._refused is not None and time.monotonic() - self._refused[0] < _TRY_AGAIN_S:
                # Callers of the last second need not all wait for the same answer.
                raise StorageUnavailable(self._refused[1].detail, retry_after_s=self._refused[1].retry_after_s)
            self._become_ready()
        finally:
            self._becoming_ready.release()

    def _become_ready(self) -> None:
        """Bring the schema up to date, or make sure that it is."""
        try:
            pending = () if self._settings.auto_migrate else self.migrations.status().pending
            if pending:
                raise StorageUnavailable(
                    f"The schema of the database {self._settings} lacks {', '.join(f'{step.number} {step.name!r}' for step in pending)}: "
                    "run 'modelbox server migrate apply', or set auto_migrate = true.",
                    retry_after_s=10,
                )
            self.migrations.apply()
        except StorageUnavailable as error:
            self._refused = (time.monotonic(), error)
            raise
        self._ready = True


def lock_numbers(object_ids: Collection[str]) -> Sequence[int]:
    """Return numbers of 63 bits that stand for objects, in the order in which everybody locks them."""
    return sorted({int.from_bytes(hashlib.sha256(object_id.encode()).digest()[:8]) >> 1 for object_id in object_ids})


def collided(settings: DatabaseSettings) -> Collided:
    """Return the error of a transaction that the database gave up in favour of another."""
    return Collided(f"Another transaction got into the way of this one in the database {settings}: try again.", retry_after_s=0.1)
