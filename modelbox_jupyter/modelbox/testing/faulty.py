"""A transport that fails as told, for tests of what happens when a store is away."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from modelbox.client.transport import Content, Transport
    from modelbox.entities.records import ArtifactRecord
    from modelbox.entities.series import SeriesBlock
    from modelbox.errors import ModelBoxError
    from modelbox.wire.messages import AppendResult, ArtifactUploadQuery, MetricsQuery
    from modelbox.wire.routes import Route

__all__ = ["FaultyTransport"]

Q = TypeVar("Q")
B = TypeVar("B")
R = TypeVar("R")


class FaultyTransport:
    """Passes everything on to `inner`, except where it was told to fail.

    Parameters
    ----------
    inner
        The real transport.

    Attributes
    ----------
    away
        While this is an error, every call raises it.
    next_errors
        Errors that the next batches of points raise, one each.
    lose_answers
        How many of the next batches arrive without their sender hearing of it.
    refuse
        Called with the blocks of a batch; the error it returns is raised.
    batches
        (client, number, points) of every batch that was tried.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.verifies = inner.verifies
        self.away: ModelBoxError | None = None
        self.next_errors: deque[ModelBoxError] = deque()
        self.lose_answers: deque[ModelBoxError] = deque()
        self.refuse: Callable[[Sequence[SeriesBlock]], ModelBoxError | None] = lambda blocks: None
        self.batches: list[tuple[str, int, int]] = []

    def _check(self) -> None:
        if self.away is not None:
            raise self.away

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
        self._check()
        return self._inner.call(route, path=path, query=query, body=body, key=key)

    def append_metrics(self, blocks: Sequence[SeriesBlock], *, client: str, batch: int) -> AppendResult:
        """Store points under the identity (client, batch)."""
        self.batches.append((client, batch, sum(map(len, blocks))))
        self._check()
        if self.next_errors:
            raise self.next_errors.popleft()
        error = self.refuse(blocks)
        if error is not None:
            raise error
        result = self._inner.append_metrics(blocks, client=client, batch=batch)
        if self.lose_answers:
            raise self.lose_answers.popleft()
        return result

    def read_metrics(self, query: MetricsQuery) -> list[SeriesBlock]:
        """Read points."""
        self._check()
        return self._inner.read_metrics(query)

    def upload(self, object_id: str, query: ArtifactUploadQuery, content: Content) -> ArtifactRecord:
        """Store the rest of `content` as an artifact of the object."""
        self._check()
        return self._inner.upload(object_id, query, content)

    def download(self, artifact_id: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of an artifact."""
        self._check()
        return self._inner.download(artifact_id, start=start, stop=stop)

    def close(self) -> None:
        """Close the real transport."""
        self._inner.close()
