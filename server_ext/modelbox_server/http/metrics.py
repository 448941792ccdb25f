"""Metric points in and out, as Arrow IPC or as JSON."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import msgspec

from modelbox.entities.series import ValueKind
from modelbox.errors import InvalidRequest
from modelbox.wire.json import decode, encode
from modelbox.wire.messages import Empty, MetricsIngestQuery, MetricsJson, MetricsQuery
from modelbox.wire.series import (
    ARROW_END,
    ARROW_STREAM,
    arrow_batch,
    arrow_schema,
    blocks_from_arrow,
    blocks_from_json,
    blocks_to_json,
)
from modelbox_server.http.exchange import JSON, Exchange
from modelbox_server.http.headers import prefers
from modelbox_server.http.incoming import body_media, query_of
from modelbox_server.storage.interfaces import BatchKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

    from modelbox.entities.series import SeriesBlock
    from modelbox.entities.values import WireFloat

__all__ = ["IngestExchange", "ReadExchange"]

_PIECE_BYTES = 256 * 1024
_SLICE_BYTES = 1 << 20
_SLICE_POINTS = 20_000
_BATCH_POINTS = 4_000_000
_LIKE_NUMBERS = 20


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
        await self.handler.send(await self.handler.face.ingest(self._work))

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
        arrow = prefers(handler.request.headers.get("Accept", ""), ARROW_STREAM, JSON)
        if arrow:
            stream = await handler.face.run(self._arrow)
            handler.set_header("Content-Type", ARROW_STREAM)
            handler.set_header("Content-Length", str(sum(map(len, stream))))
            for piece in _slices(stream):
                await handler.send_piece(piece)
        else:
            # The JSON of a million points is some fifty megabytes, which nobody needs in one piece.
            pieces = _json_pieces(await handler.face.run(self._read, self._query()))
            while piece := await handler.face.run(next, pieces, b""):
                await handler.send_piece(piece)
        handler.finish()

    def _query(self) -> MetricsQuery:
        return decode(memoryview(self._body), MetricsQuery)

    def _read(self, query: MetricsQuery) -> list[SeriesBlock]:
        return self.handler.face.services().metrics.read(self.handler.caller, query)

    def _arrow(self) -> list[bytes | memoryview]:
        query = self._query()
        return _arrow_pieces(self._read(query), list_views=query.list_views)


def _arrow_pieces(blocks: list[SeriesBlock], *, list_views: bool) -> list[bytes | memoryview]:
    """Return one Arrow IPC stream in pieces, most of which are the columns of `blocks` themselves."""
    pieces: list[bytes | memoryview] = [arrow_schema(list_views=list_views)]
    group: list[SeriesBlock] = []
    points = 0
    for block in blocks:
        # A text is worth some numbers: the texts of a batch may not pass 2 GiB.
        weight = len(block) * (1 if block.kind is ValueKind.FLOAT else _LIKE_NUMBERS)
        if group and points + weight > _BATCH_POINTS:
            pieces += arrow_batch(group, list_views=list_views)
            group, points = [], 0
        group.append(block)
        points += weight
    if group:
        pieces += arrow_batch(group, list_views=list_views)
    return [*pieces, ARROW_END]


def _slices(pieces: list[bytes | memoryview]) -> Iterator[bytes]:
    """Yield the same bytes in pieces that are worth a call of the network, and not more than it takes at once."""
    small = bytearray()
    for piece in pieces:
        for start in range(0, len(piece), _SLICE_BYTES):
            part = piece[start : start + _SLICE_BYTES]
            if len(small) + len(part) > _SLICE_BYTES:
                yield bytes(small)
                small.clear()
            small += part
    yield bytes(small)


def _json_pieces(blocks: list[SeriesBlock]) -> Iterator[bytes]:
    """Yield ``{"series": [...]}`` in pieces that are worth a change of threads."""
    piece = bytearray()
    for part in _json_parts(blocks):
        piece += part
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _json_parts(blocks: list[SeriesBlock]) -> Iterator[bytes]:
    """Yield the same in slices of columns: encoding a whole column in one call would hold the interpreter lock for too long."""
    yield b'{"series":['
    for i, block in enumerate(blocks):
        head = msgspec.json.encode({"object_id": block.object_id, "key": block.key, "kind": block.kind})
        yield (b"," if i else b"") + head[:-1]
        parts = [_part(block, slice(start, start + _SLICE_POINTS)) for start in range(0, len(block), _SLICE_POINTS)]
        for name in ("steps", "wall_times_us", "values"):
            yield f',"{name}":['.encode()
            for j, part in enumerate(parts):
                yield (b"," if j else b"") + msgspec.json.encode(_column(part, name))[1:-1]
            yield b"]"
        yield b"}"
    yield b"]}"


def _part(block: SeriesBlock, part: slice) -> SeriesBlock:
    values: Sequence[str] | Buffer
    if block.kind is ValueKind.FLOAT:
        values = memoryview(cast("Buffer", block.values)).cast("B").cast("d")[part]
    else:
        values = cast("Sequence[str]", block.values)[part]
    return replace(block, steps=_int64(block.steps)[part], wall_times_us=_int64(block.wall_times_us)[part], values=values)


def _column(block: SeriesBlock, name: str) -> list[int] | list[WireFloat | str]:
    match name:
        case "steps":
            return _int64(block.steps).tolist()
        case "wall_times_us":
            return _int64(block.wall_times_us).tolist()
        case _:
            # Of the rest only the values are wanted: hand in no more than they need.
            return blocks_to_json([replace(block, steps=b"", wall_times_us=b"")]).series[0].values


def _int64(column: Buffer) -> memoryview[int]:
    return memoryview(column).cast("B").cast("q")
