"""Bytes of artifacts on their way out: in constant memory, in ranges, and never as something that a browser would run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from modelbox.entities.records import ArtifactStorage
from modelbox.errors import RangeNotSatisfiable
from modelbox.wire.messages import ArtifactQuery, Empty
from modelbox.wire.routes import GET_ARTIFACT
from modelbox_server import operations
from modelbox_server.http.exchange import Exchange
from modelbox_server.http.headers import attachment, byte_range, etag_matches, safe_image_type
from modelbox_server.http.incoming import query_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelbox.entities.records import ArtifactRecord

__all__ = ["DownloadExchange"]

_MAGIC_BYTES = 16


class DownloadExchange(Exchange):
    """Sends the bytes of an artifact, whole or one range of them; HEAD sends what would be said of the whole.

    Artifacts are anybody's files on the origin that runs notebooks. They go out as an attachment of a type that no browser renders; the
    exception are bitmaps whose first bytes say so too.
    """

    _chunks: Iterator[bytes] = iter(())

    async def begin(self) -> None:
        """Check that nothing is asked for that does not exist."""
        query_of(self.handler, Empty)

    async def answer(self) -> None:
        """Send."""
        handler, headers = self.handler, self.handler.request.headers
        record = await handler.face.run(self.record)
        size = record.size_bytes or 0
        etag = f'"{record.sha256}"'
        handler.set_header("Accept-Ranges", "bytes")
        handler.set_header("Cache-Control", "private, no-cache")
        handler.set_header("Content-Disposition", attachment(record.name))
        handler.set_header("Content-Security-Policy", "sandbox; default-src 'none'")
        uploaded = record.storage is ArtifactStorage.UPLOADED
        if uploaded:
            handler.set_header("ETag", etag)
            if etag_matches(headers.get("If-None-Match", ""), etag):
                handler.set_status(304)
                handler.finish()
                return

        start, stop = 0, size
        wanted = headers.get("Range")
        whole = wanted is None or headers.get("If-Range", etag) != etag or handler.request.method == "HEAD" or not uploaded
        if wanted is not None and not whole:
            try:
                start, stop = byte_range(wanted, size)
            except RangeNotSatisfiable:
                handler.set_header("Content-Range", f"bytes */{size}")
                raise
            handler.set_status(206)
            handler.set_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")

        # A tracked artifact has no bytes to say anything of: opening it raises what is to be said.
        first = await handler.face.run(self._open, start, stop) if handler.request.method != "HEAD" or not uploaded else b""
        # The bytes that tell a bitmap are only there when the range has them; without them it is a file like any other.
        image = safe_image_type(record.media_type, first[:_MAGIC_BYTES]) if start == 0 else None
        handler.set_header("Content-Type", image or "application/octet-stream")
        handler.set_header("Content-Length", str(stop - start))
        await self._send(first)
        handler.finish()

    def record(self) -> ArtifactRecord:
        """Return what is sent; called in a worker thread."""
        handler = self.handler
        return operations.run(handler.face.services(), handler.caller, GET_ARTIFACT, handler.path_kwargs, ArtifactQuery(), None)

    def _open(self, start: int, stop: int) -> bytes:
        """Open the content and return its first piece, so that an error of either still has a status of its own."""
        self._chunks = self.chunks(start, stop)
        return next(self._chunks, b"")

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """Return the bytes from `start` up to `stop`; called in a worker thread."""
        handler = self.handler
        return handler.face.services().artifacts.open(handler.caller, handler.path_kwargs["artifact_id"], start, stop).chunks

    async def _send(self, first: bytes) -> None:
        piece = first
        while piece:
            # The next one is read and hashed while this one is sent.
            coming = asyncio.ensure_future(self.handler.face.run(next, self._chunks, b""))
            try:
                await self.handler.send_piece(piece)
            finally:
                piece = await coming

    async def abandon(self) -> None:
        """Close the file of a reader that went away."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            await self.handler.face.run(close)
