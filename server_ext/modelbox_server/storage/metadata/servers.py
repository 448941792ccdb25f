"""What the metadata stores of database servers have in common: they may be away, and other servers of ours use them at the same time."""

import hashlib
from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from modelbox.errors import Collided
from modelbox_server.storage.databases.pools import pool_status
from modelbox_server.storage.databases.readiness import Readiness
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.metadata.dialect import SqlDialect
from modelbox_server.storage.metadata.sql import SqlMetadataStore

__all__ = ["ServerMetadataStore", "collided", "lock_numbers"]


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
        super().__init__(engine, dialect, wait_s=settings.lock_wait_s)

    def pool_status(self) -> Mapping[str, int]:
        """Return how many connections there may be, are open, and are in use now; costs nothing."""
        return pool_status(self._engine)

    def _begin(self) -> None:
        self._readiness = Readiness(self._settings, self.migrations)
        self._readiness.begin()

    def _renew(self) -> None:
        super()._renew()
        self._readiness.renew()

    def _require_ready(self) -> None:
        if not self._closed:
            self._readiness.require()


_MAX_LOCKS = 100
"""A transaction about more objects runs alone: a database has room for some thousands of locks, of all transactions together."""


def lock_numbers(object_ids: Collection[str]) -> Sequence[int]:
    """Return numbers of 63 bits that stand for objects, in the order in which everybody locks them; none for too many objects."""
    if len(object_ids) > _MAX_LOCKS:
        return ()
    digests = (hashlib.sha256(object_id.encode("utf-8", "surrogatepass")).digest() for object_id in object_ids)
    return sorted({int.from_bytes(digest[:8]) >> 1 for digest in digests})


def collided(settings: DatabaseSettings) -> Collided:
    """Return the error of a transaction that the database gave up in favour of another."""
    return Collided(f"Another transaction got into the way of this one in the database {settings}: try again.", retry_after_s=0.1)
