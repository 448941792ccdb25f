"""Bytes of artifacts on their way in: piece by piece into the store, verified, all of them or none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from modelbox.errors import InvalidRequest
from modelbox.wire.json import encode
from modelbox.wire.messages import ArtifactUploadQuery
from modelbox_server.http.exchange import Exchange
from modelbox_server.http.headers import sha256_of_digest
from modelbox_server.http.incoming import query_of

if TYPE_CHECKING:
    from modelbox_server.service.artifacts import Upload

__all__ = ["UploadExchange"]

_PIECE_BYTES = 1024 * 1024
_DIGEST_BYTES = 32


class UploadExchange(Exchange):
    """Stores the body as an artifact.

    At most two pieces of the body are in memory, always in the same two buffers: while a worker thread writes one, the other is filled from
    the network.
    """

    _upload: Upload[object] | None = None
    _writing: asyncio.Future[None] | None = None
    _spare: memoryview | None = None

    async def begin(self) -> None:
        """Check the declared properties and open the upload."""
        query = self._declared(self.query())
        self._upload = await self.handler.face.run(lambda: self.open(query).__enter__())
        self._until_digest_bytes = query.size_bytes if query.sha256_follows else None
        self._digest = bytearray()
        # Most files are small, and so are their buffers; yet there is room for the byte too much that shows a wrong size.
        self._buffer_bytes = _PIECE_BYTES if query.size_bytes is None else min(query.size_bytes + 1, _PIECE_BYTES)
        self._filling, self._filled_bytes = memoryview(bytearray(self._buffer_bytes)), 0

    def _declared(self, query: ArtifactUploadQuery) -> ArtifactUploadQuery:
        headers = self.handler.request.headers
        length = headers.get("Content-Length", "")
        if query.sha256_follows and query.size_bytes is None:
            raise InvalidRequest("The digest follows the content, but where is its end? Give size_bytes too.", field="size_bytes")
        if length.isdigit():
            content_bytes = max(int(length) - (_DIGEST_BYTES if query.sha256_follows else 0), 0)
            if query.size_bytes not in {None, content_bytes}:
                raise InvalidRequest(f"The body has {content_bytes} bytes, but size_bytes says {query.size_bytes}.", field="size_bytes")
            query = msgspec.structs.replace(query, size_bytes=content_bytes)
        digest = sha256_of_digest(headers.get("Content-Digest", ""))
        if digest is None:
            return query
        if query.sha256 is not None and query.sha256.lower() != digest:
            raise InvalidRequest("The Content-Digest header and the parameter sha256 differ: send one of them.", field="Content-Digest")
        return msgspec.structs.replace(query, sha256=digest)

    def query(self) -> ArtifactUploadQuery:
        """Return what the request says of the bytes beside its headers."""
        return query_of(self.handler, ArtifactUploadQuery)

    def open(self, query: ArtifactUploadQuery) -> Upload[object]:
        """Return where the bytes go; called in a worker thread."""
        handler = self.handler
        return handler.face.services().artifacts.begin_upload(handler.caller, handler.path_kwargs["object_id"], query)

    async def receive(self, data: bytes) -> None:
        """Pass the body on in pieces that are worth a change of threads."""
        piece = memoryview(data)
        if self._until_digest_bytes is not None:
            self._digest += piece[self._until_digest_bytes :]
            piece = piece[: self._until_digest_bytes]
            self._until_digest_bytes -= len(piece)
            if len(self._digest) > _DIGEST_BYTES:
                raise InvalidRequest(f"More than the {_DIGEST_BYTES} bytes of a SHA-256 follow the content.", field="sha256_follows")
        while piece:
            room = self._filling[self._filled_bytes :]
            part = piece[: len(room)]
            room[: len(part)] = part
            self._filled_bytes += len(part)
            piece = piece[len(part) :]
            if len(part) == len(room):
                await self._write_piece()

    async def _write_piece(self) -> None:
        await self._piece_is_written()
        full, count = self._filling, self._filled_bytes
        # The piece before is written, so its buffer is free.
        self._filling, self._filled_bytes = self._spare or memoryview(bytearray(self._buffer_bytes)), 0
        self._spare = full
        if self._upload is not None:
            self._writing = asyncio.ensure_future(self.handler.face.run(self._upload.write, full[:count]))

    async def _piece_is_written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def answer(self) -> None:
        """Write what is left, verify, and make the artifact visible."""
        if self._filled_bytes:
            await self._write_piece()
        await self._piece_is_written()
        await self.handler.send(await self.handler.face.run(self._commit), status=201)

    def _commit(self) -> bytes:
        if self._upload is None:
            raise AssertionError("begin() opens the upload")
        digest = None if self._until_digest_bytes is None else self._digest.hex()
        return encode(self._upload.commit(sha256=digest))

    async def abandon(self) -> None:
        """Release the upload; without a commit that drops the bytes."""
        upload, self._upload = self._upload, None
        if upload is not None:
            await asyncio.gather(self._piece_is_written(), return_exceptions=True)
            await self.handler.face.run(upload.__exit__, None, None, None)
