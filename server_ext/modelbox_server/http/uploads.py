"""Bytes of artifacts on their way in: piece by piece into the store, verified, all of them or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from modelbox.errors import InvalidRequest
from modelbox.wire.json import encode
from modelbox.wire.messages import ArtifactUploadQuery
from modelbox_server.http.exchange import Exchange
from modelbox_server.http.headers import sha256_of_digest
from modelbox_server.http.incoming import query_of

if TYPE_CHECKING:
    from modelbox_server.service.artifacts import ArtifactUpload

__all__ = ["UploadExchange"]

_PIECE_BYTES = 1024 * 1024


class UploadExchange(Exchange):
    """Stores the body as an artifact.

    At most one piece of the body is in memory: the next is read from the network when a worker thread has written the last.
    """

    _upload: ArtifactUpload | None = None

    async def begin(self) -> None:
        """Check the declared properties and open the upload."""
        self._piece = bytearray()
        query = self._declared(query_of(self.handler, ArtifactUploadQuery))
        object_id = self.handler.path_kwargs["object_id"]
        self._upload = await self.handler.face.run(self._open, object_id, query)

    def _declared(self, query: ArtifactUploadQuery) -> ArtifactUploadQuery:
        headers = self.handler.request.headers
        length = headers.get("Content-Length", "")
        if query.size_bytes is not None and length.isdigit() and int(length) != query.size_bytes:
            raise InvalidRequest(f"The body has {length} bytes, but size_bytes says {query.size_bytes}.", field="size_bytes")
        digest = sha256_of_digest(headers.get("Content-Digest", ""))
        if digest is None:
            return query
        if query.sha256 is not None and query.sha256.lower() != digest:
            raise InvalidRequest("The Content-Digest header and the parameter sha256 differ: send one of them.", field="Content-Digest")
        return msgspec.structs.replace(query, sha256=digest)

    def _open(self, object_id: str, query: ArtifactUploadQuery) -> ArtifactUpload:
        handler = self.handler
        return handler.face.services().artifacts.begin_upload(handler.caller, object_id, query).__enter__()

    async def receive(self, data: bytes) -> None:
        """Pass the body on in pieces that are worth a change of threads."""
        self._piece += data
        if len(self._piece) >= _PIECE_BYTES:
            await self._write_piece()

    async def _write_piece(self) -> None:
        piece, self._piece = self._piece, bytearray()
        if self._upload is not None:
            await self.handler.face.run(self._upload.write, bytes(piece))

    async def answer(self) -> None:
        """Write what is left, verify, and make the artifact visible."""
        if self._piece:
            await self._write_piece()
        await self.handler.send(await self.handler.face.run(self._commit), status=201)

    def _commit(self) -> bytes:
        if self._upload is None:
            raise AssertionError("begin() opens the upload")
        return encode(self._upload.commit())

    async def abandon(self) -> None:
        """Release the upload; without a commit that drops the bytes."""
        upload, self._upload = self._upload, None
        if upload is not None:
            await self.handler.face.run(upload.__exit__, None, None, None)
