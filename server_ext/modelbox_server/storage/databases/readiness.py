"""Whether a database has the schema that its store needs: it may be away when the store is opened, and come back."""

import logging
import threading
import time
from collections.abc import Callable

from modelbox.errors import StorageUnavailable
from modelbox_server.storage.databases.settings import DatabaseSettings
from modelbox_server.storage.migrations.runner import Migrations

__all__ = ["Readiness"]

_log = logging.getLogger(__name__)

_TRY_AGAIN_S = 1.0


class Readiness:
    """Sees to the schema of one database, at the start or as soon as the database is there. Safe to use from several threads.

    Parameters
    ----------
    settings
        Where the database is.
    migrations
        Its steps.
    prepare
        What else there is to do once the schema is there.
    """

    def __init__(self, settings: DatabaseSettings, migrations: Migrations, prepare: Callable[[], None] | None = None) -> None:
        self._settings = settings
        self._migrations = migrations
        self._prepare = prepare
        self._is_ready = False
        self._becoming_ready = threading.Lock()
        self._refused: tuple[float, StorageUnavailable] | None = None

    def begin(self) -> None:
        """Bring the schema up to date; a database that is away is only warned of.

        Raises
        ------
        SchemaTooNew, StorageError
            The database is not one for this program.
        """
        try:
            self._become_ready()
        except StorageUnavailable as error:
            _log.warning("%s Until then calls that need it are refused.", error)

    def require(self) -> None:
        """Return if the schema is up to date; bring it there if the database has come back.

        Raises
        ------
        StorageUnavailable
            The database is away, or its schema is to be brought up to date by hand.
        """
        if self._is_ready:
            return
        if not self._becoming_ready.acquire(timeout=self._settings.connect_timeout_s):
            raise StorageUnavailable(f"The database {self._settings} is being looked for: try again.", retry_after_s=_TRY_AGAIN_S)
        try:
            if self._is_ready:
                return
            if self._refused is not None and time.monotonic() - self._refused[0] < _TRY_AGAIN_S:
                # Callers of the last second need not all wait for the same answer.
                raise StorageUnavailable(self._refused[1].detail, retry_after_s=self._refused[1].retry_after_s)
            self._become_ready()
        finally:
            self._becoming_ready.release()

    def renew(self) -> None:
        """Replace what a fork may have left locked."""
        self._becoming_ready = threading.Lock()

    def _become_ready(self) -> None:
        try:
            pending = () if self._settings.auto_migrate else self._migrations.status().pending
            if pending:
                raise StorageUnavailable(
                    f"The schema of the database {self._settings} lacks {', '.join(f'{step.number} {step.name!r}' for step in pending)}: "
                    "run 'modelbox server migrate apply', or set auto_migrate = true.",
                    retry_after_s=10,
                )
            self._migrations.apply()
            if self._prepare is not None:
                self._prepare()
        except StorageUnavailable as error:
            self._refused = (time.monotonic(), error)
            raise
        self._is_ready = True
