"""Stores that are not there yet, or never will be: the local one before its first use, and the one of a connection that is offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

from modelbox.client.loading import loading
from modelbox.client.transport import local_transport
from modelbox.errors import ModelBoxError, ServerUnreachable, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from modelbox.client.transport import Content, Transport
    from modelbox.entities.records import ArtifactRecord
    from modelbox.entities.series import SeriesBlock
    from modelbox.wire.messages import AppendResult, ArtifactUploadQuery, MetricsQuery
    from modelbox.wire.routes import Route

__all__ = ["LazyTransport", "OfflineTransport"]

Q = TypeVar("Q")
B = TypeVar("B")
R = TypeVar("R")


class LazyTransport:
    """A transport to the local store in `folder` that is opened by the first call: training need not wait for it.

    Parameters
    ----------
    folder
        Where the store is.
    """

    verifies = True  # as the services in this process do

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: Transport | None = None

    def _open(self) -> Transport:
        if self._opened is None:
            with loading():
                if self._opened is None:
                    try:
                        self._opened = local_transport(self._folder)
                    except ModelBoxError as error:
                        # Nothing is wrong with what was asked for: it waits until the store can be opened.
                        raise StorageUnavailable(error.detail) from error
        return self._opened

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
        return self._open().call(route, path=path, query=query, body=body, key=key)

    def append_metrics(self, blocks: Sequence[SeriesBlock], *, client: str, batch: int) -> AppendResult:
        """Store points under the identity (client, batch)."""
        return self._open().append_metrics(blocks, client=client, batch=batch)

    def read_metrics(self, query: MetricsQuery) -> list[SeriesBlock]:
        """Read points."""
        return self._open().read_metrics(query)

    def upload(self, object_id: str, query: ArtifactUploadQuery, content: Content) -> ArtifactRecord:
        """Store the rest of `content` as an artifact of the object."""
        return self._open().upload(object_id, query, content)

    def download(self, artifact_id: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of an artifact."""
        return self._open().download(artifact_id, start=start, stop=stop)

    def close(self) -> None:
        """Release the store, if it was opened."""
        if self._opened is not None:
            self._opened.close()


class OfflineTransport:
    """The transport of a connection that is offline: every call raises, because there is nobody to ask.

    Parameters
    ----------
    folder
        Where points wait meanwhile.
    """

    verifies = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _refuse(self) -> NoReturn:
        raise ServerUnreachable(
            f"This connection is offline, so nothing can be read through it: bring what is in {self._folder} to a store with "
            f"'modelbox sync {self._folder}', and read it there."
        )

    def call(
        self,
        route: Route[Q, B, R],
        *,
        path: Mapping[str, str] | None = None,
        query: Q | None = None,
        body: B | None = None,
        key: str = "",
    ) -> R:
        """Raise."""
        self._refuse()

    def append_metrics(self, blocks: Sequence[SeriesBlock], *, client: str, batch: int) -> AppendResult:
        """Raise."""
        self._refuse()

    def read_metrics(self, query: MetricsQuery) -> list[SeriesBlock]:
        """Raise."""
        self._refuse()

    def upload(self, object_id: str, query: ArtifactUploadQuery, content: Content) -> ArtifactRecord:
        """Raise."""
        self._refuse()

    def download(self, artifact_id: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Raise."""
        self._refuse()

    def close(self) -> None:
        """Do nothing."""
