"""Metric points in and out, as Arrow IPC or as JSON."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from modelbox.errors import InvalidRequest
from modelbox.wire.json import decode, encode
from modelbox.wire.messages import Empty, MetricsIngestQuery, MetricsJson, MetricsQuery
from modelbox.wire.series import ARROW_STREAM, blocks_from_arrow, blocks_from_json, blocks_to_arrow, blocks_to_json
from modelbox_server.http.exchange import JSON, Exchange
from modelbox_server.http.headers import prefers
from modelbox_server.http.incoming import body_media, query_of
from modelbox_server.storage.interfaces import BatchKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelbox.entities.series import SeriesBlock

__all__ = ["IngestExchange", "ReadExchange"]


class IngestExchange(Exchange):
    """Appends a batch of points; its identity is (client, batch) and the digest of the body."""

    async def begin(self) -> None:
        """Check the identity of the batch and the format of the body."""
        self._query = query_of(self.handler, MetricsIngestQuery)
        if (self._query.client is None) != (self._query.batch is None):
            raise InvalidRequest("A batch is known by both 'client' and 'batch': send both, or none.", field="batch")
        self._media = body_media(self.handler, ARROW_STREAM, JSON)
        self._body = bytearray()

    async def receive(self, data: bytes) -> None:
        """Keep the body."""
        self._body += data

    async def answer(self) -> None:
        """Append."""
        await self.handler.send(await self.handler.face.run(self._work))

    def _work(self) -> bytes:
        body = memoryview(self._body)
        blocks = blocks_from_arrow(body) if self._media == ARROW_STREAM else blocks_from_json(decode(body, MetricsJson))
        batch = None
        if self._query.client is not None and self._query.batch is not None:
            batch = BatchKey(self._query.client, self._query.batch, hashlib.sha256(body).digest())
        return encode(self.handler.face.services().metrics.append(self.handler.caller, blocks, batch))


class ReadExchange(Exchange):
    """Reads the points of many series."""

    async def begin(self) -> None:
        """Check that the body is a query in JSON."""
        query_of(self.handler, Empty)
        body_media(self.handler, JSON)
        self._body = bytearray()

    async def receive(self, data: bytes) -> None:
        """Keep the query."""
        self._body += data

    async def answer(self) -> None:
        """Read, then send columns in the format that was asked for."""
        handler = self.handler
        handler.set_header("Vary", "Accept")
        if prefers(handler.request.headers.get("Accept", ""), ARROW_STREAM, JSON):
            await handler.send(await handler.face.run(lambda: blocks_to_arrow(self._read())), media=ARROW_STREAM)
            return
        blocks = await handler.face.run(self._read)
        # Series by series: the JSON of a million points is some fifty megabytes, which nobody needs in one piece.
        pieces = _json_pieces(blocks)
        while piece := await handler.face.run(next, pieces, b""):
            await handler.send_piece(piece)
        handler.finish()

    def _read(self) -> list[SeriesBlock]:
        query = decode(memoryview(self._body), MetricsQuery)
        return self.handler.face.services().metrics.read(self.handler.caller, query)


def _json_pieces(blocks: list[SeriesBlock]) -> Iterator[bytes]:
    before = b'{"series":['
    for block in blocks:
        (series,) = blocks_to_json([block]).series
        yield before + encode(series)
        before = b","
    yield (b"" if blocks else before) + b"]}"
