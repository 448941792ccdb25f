"""How a client reaches its store: one protocol, and a registry of what serves which kind of address.

A transport carries routes of :mod:`modelbox.wire.routes`. The HTTP one sends them to a server; the in-process one calls the same services
in this process. Both raise the same :class:`~modelbox.errors.ModelBoxError` subclasses.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from modelbox.entities.records import ArtifactRecord
    from modelbox.entities.series import SeriesBlock
    from modelbox.wire.messages import AppendResult, ArtifactUploadQuery, MetricsQuery
    from modelbox.wire.routes import Route

__all__ = ["Content", "Transport", "local_transport"]

Q = TypeVar("Q")
B = TypeVar("B")
R = TypeVar("R")


class Content(Protocol):
    """Bytes to send: what binary files of Python have of themselves."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read the next bytes into `buffer` and return how many there were; none at the end."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a place and return it."""
        ...

    def tell(self) -> int:
        """Return the current place."""
        ...


class Transport(Protocol):
    """Carries calls to a store. Safe to use from several threads at once, and in a forked child.

    Attributes
    ----------
    verifies
        Whether a download of the whole content was checked against its digest before its last bytes are handed out.
    """

    verifies: bool

    def call(
        self,
        route: Route[Q, B, R],
        *,
        path: Mapping[str, str] | None = None,
        query: Q | None = None,
        body: B | None = None,
        key: str = "",
    ) -> R:
        """Carry out a JSON route and return its answer.

        Parameters
        ----------
        key
            Names the call, 40 hex digits: with the same key it has an effect once, and is :class:`~modelbox.errors.AlreadyDone` then.

        Raises
        ------
        ModelBoxError
            As the service raised it.
        ServerUnreachable
            Nothing answered, or the connection broke before an answer came.
        """
        ...

    def append_metrics(self, blocks: Sequence[SeriesBlock], *, client: str, batch: int) -> AppendResult:
        """Store points under the identity (client, batch), exactly once however often it is repeated."""
        ...

    def read_metrics(self, query: MetricsQuery) -> list[SeriesBlock]:
        """Read points as numpy columns, ordered by (step, wall clock)."""
        ...

    def upload(self, object_id: str, query: ArtifactUploadQuery, content: Content) -> ArtifactRecord:
        """Store the rest of `content` as an artifact of the object: the bytes that were read, or nothing.

        `content` is read once, or from the same place again.
        """
        ...

    def download(self, artifact_id: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of an artifact from `start` up to `stop`; where a connection breaks in between, another goes on from there."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


_EMBEDDED = "modelbox_server.embedded:open_embedded"


def local_transport(folder: Path) -> Transport:
    """Return a transport to the store in `folder`, served by this process.

    The server package is found by its dotted name on first use, so that a client never imports it, nor SQL, without need.
    """
    module, _, name = _EMBEDDED.partition(":")
    opener = cast("Callable[[Path], Transport]", getattr(import_module(module), name))
    return opener(folder)
