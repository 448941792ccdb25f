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
from modelbox.wire.series import ARROW_STREAM, blocks_from_arrow, blocks_from_json, blocks_to_arrow, blocks_to_json
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
_SLICE_POINTS = 20_000
_BATCH_POINTS = 200_000
_ARROW_END = b"\xff\xff\xff\xff\0\0\0\0"


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
        blocks = await handler.face.run(self._read)
        if arrow:
            handler.set_header("Content-Type", ARROW_STREAM)
        # The JSON of a million points is some fifty megabytes, which nobody needs in one piece.
        pieces = _arrow_pieces(blocks) if arrow else _json_pieces(blocks)
        while piece := await handler.face.run(next, pieces, b""):
            await handler.send_piece(piece)
        handler.finish()

    def _read(self) -> list[SeriesBlock]:
        query = decode(memoryview(self._body), MetricsQuery)
        return self.handler.face.services().metrics.read(self.handler.caller, query)


def _arrow_pieces(blocks: list[SeriesBlock]) -> Iterator[bytes]:
    """Yield one Arrow IPC stream, some series at a time: encoding holds the interpreter lock for some milliseconds per megabyte."""
    group: list[SeriesBlock] = []
    schema_sent = False
    for block in [*blocks, None]:
        points = sum(map(len, group))
        if block is None or (group and points + len(block) > _BATCH_POINTS):
            stream = blocks_to_arrow(group)
            # Every stream is a schema, record batches and an end; the pieces share the first and the last.
            start = _schema_bytes(stream) if schema_sent else 0
            yield stream[start : -len(_ARROW_END)]
            group, schema_sent = [], True
        if block is not None:
            group.append(block)
    yield _ARROW_END


def _schema_bytes(stream: bytes) -> int:
    """Return how long the schema message is: a marker, the length of what follows, and no body."""
    return 8 + int.from_bytes(stream[4:8], "little")


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
