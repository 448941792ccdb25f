"""The face without a network: a client in this process calls the same operations that the HTTP face calls.

:class:`EmbeddedTransport` has the shape of ``modelbox.client.transport.Transport``; this package never imports the client. Several
transports to one folder share one set of services. After a fork, parent and child each go on with what they have: the stores themselves
keep their connections apart.
"""

import getpass
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import UUID

import msgspec

from modelbox.entities.records import ArtifactRecord
from modelbox.entities.series import SeriesBlock
from modelbox.entities.values import MAX_JSON_DEPTH
from modelbox.errors import InvalidRequest, TooLarge
from modelbox.wire.messages import AppendResult, ArtifactUploadQuery, MetricsQuery
from modelbox.wire.routes import Route
from modelbox.wire.series import arrow_stream
from modelbox_server.operations import run
from modelbox_server.service.context import Caller
from modelbox_server.storage.interfaces import BatchKey
from modelbox_server.wiring import Services, local_services

__all__ = ["Content", "EmbeddedTransport", "open_embedded"]

Q = TypeVar("Q")
B = TypeVar("B")
R = TypeVar("R")
T = TypeVar("T")

_CHUNK_BYTES = 1 << 20

# msgspec would turn these into text silently. Where a message has a field of such a type they are right, elsewhere they are refused.
_NO_JSON = (bytes, bytearray, memoryview, date, datetime, time, timedelta, Decimal, UUID)


class Content(Protocol):
    """Bytes to keep: what binary files of Python have of themselves."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read the next bytes into `buffer` and return how many there were; none at the end."""
        ...


class EmbeddedTransport:
    """Carries calls to services in this process. Safe to use from several threads at once, and in a forked child.

    Parameters
    ----------
    services
        What answers.
    caller
        As whom to call; by default the user of this process.
    release
        Called once by :meth:`close`; by default the services stay open.
    """

    verifies = True

    def __init__(self, services: Services, caller: Caller | None = None, *, release: "_Lease | None" = None) -> None:
        self._services = services
        self._caller = caller or Caller(_user(), "embedded")
        self._release = release

    def call(
        self,
        route: Route[Q, B, R],
        *,
        path: Mapping[str, str] | None = None,
        query: Q | None = None,
        body: B | None = None,
        key: str = "",
    ) -> R:
        """Carry out a JSON route and return its answer."""
        checked_query = route.query() if query is None else _as_sent(query, "query")
        checked_body = None if body is None else _as_sent(body, "body")
        caller = replace(self._caller, operation=key) if key else self._caller
        return run(self._services, caller, route, path or {}, checked_query, checked_body)

    def append_metrics(self, blocks: Sequence[SeriesBlock], *, client: str, batch: int) -> AppendResult:
        """Store points under the identity (client, batch), exactly once however often it is repeated."""
        # The digest of what HTTP would send: a batch may be tried in process first and over HTTP later.
        digest = hashlib.sha256()
        for piece in arrow_stream(blocks, list_views=True):
            digest.update(piece)
        return self._services.metrics.append(self._caller, blocks, BatchKey(client, batch, digest.digest()))

    def read_metrics(self, query: MetricsQuery) -> list[SeriesBlock]:
        """Read points as numpy columns, ordered by (step, wall clock)."""
        return self._services.metrics.read(self._caller, _as_sent(query, "query"))

    def upload(self, object_id: str, query: ArtifactUploadQuery, content: Content) -> ArtifactRecord:
        """Store the rest of `content` as an artifact of the object."""
        buffer = memoryview(bytearray(_CHUNK_BYTES))
        with self._services.artifacts.begin_upload(self._caller, object_id, _as_sent(query, "query")) as upload:
            while count := content.readinto(buffer):
                upload.write(buffer[:count])
            return upload.commit()

    def download(self, artifact_id: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of an artifact from `start` up to `stop`."""
        return self._services.artifacts.open(self._caller, artifact_id, start, stop).chunks

    def close(self) -> None:
        """Give the services back; the last transport to a folder closes them."""
        lease, self._release = self._release, None
        if lease is not None:
            lease.end()


def open_embedded(folder: Path) -> EmbeddedTransport:
    """Return a transport to the store in `folder`, which is made when it is not there."""
    key = Path(os.path.realpath(folder))
    with _leases_lock():
        lease = _leases.get(key)
        if lease is None:
            lease = _leases[key] = _Lease(key, local_services(key))
        lease.users += 1
    return EmbeddedTransport(lease.services, release=lease)


@dataclass(eq=False, slots=True)
class _Lease:
    """The services of one folder, and how many transports use them."""

    folder: Path
    services: Services
    users: int = 0

    def end(self) -> None:
        with _leases_lock():
            self.users -= 1
            if self.users:
                return
            del _leases[self.folder]
        self.services.close()


_leases: dict[Path, _Lease] = {}
_lock = threading.Lock()


def _leases_lock() -> threading.Lock:
    return _lock


def _renew_lock() -> None:
    """Give a forked child a lock of its own: the parent's may be held by a thread that the child does not have."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which never forks
    os.register_at_fork(after_in_child=_renew_lock)


def _as_sent(message: T, what: str) -> T:
    """Return a message as it would arrive over HTTP: types and bounds checked, lists and dicts not shared with the sender.

    Raises
    ------
    InvalidRequest
        A field has a value of another type.
    TooLarge
        It nests too deep.
    """
    try:
        return msgspec.convert(msgspec.to_builtins(message, builtin_types=_NO_JSON), type(message))
    except (msgspec.ValidationError, TypeError) as error:
        raise InvalidRequest(f"The {what} does not fit: {error}.", field=what) from error
    except RecursionError as error:
        raise TooLarge(
            f"The {what} nests deeper than {MAX_JSON_DEPTH} levels: flatten it.", field=what, limit=f"depth {MAX_JSON_DEPTH}"
        ) from error


def _user() -> str:
    """Return the login name of this process, which a container may lack."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return str(os.getuid())
