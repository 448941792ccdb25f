"""Bytes on their way into a bucket, in parts of bounded size.

What fits into one part is put under its name at once. More goes up as a multipart upload: under its name where the digest was said before,
as nothing is seen of it until it is complete; else under a passing name, from which S3 copies it when the digest is known.
"""

from __future__ import annotations

import secrets
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from modelbox.errors import BlobMissing, ModelBoxError, StorageUnavailable
from modelbox_server.storage.blobs.digests import Digests

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from modelbox_server.storage.blobs.s3_connection import S3Connection
    from modelbox_server.storage.interfaces import BlobInfo

__all__ = ["S3BlobWriter", "copy_object"]

_PARTS_UNDER_WAY = 2
_DOUBLE_AFTER_PARTS = 2000
"""S3 takes 10,000 parts: so they grow, to half a TiB in all with parts of 8 MiB."""

_COPY_PART_BYTES = 1 << 30
_COPY_WHOLE_BYTES = 4 << 30
"""S3 copies at most 5 GiB in one call."""


class S3BlobWriter:
    """Bytes on their way into the bucket; used by one thread at a time.

    Parameters
    ----------
    connection
        The bucket.
    place
        Returns the object key of a content.
    passing
        What the object keys of unfinished contents begin with.
    md5
        Make an MD5 too.
    sha256
        What the bytes are going to have, where that is known.
    """

    def __init__(
        self, connection: S3Connection, place: Callable[[str], str], passing: str, *, md5: bool, sha256: str | None = None
    ) -> None:
        self._connection = connection
        self._place = place
        self._digests = Digests(md5=md5, sha256=sha256)
        self._object = place(sha256) if sha256 else f"{passing}{secrets.token_hex(16)}"
        self._buffer = bytearray()
        self._size_bytes = 0
        self._part_bytes = connection.settings.part_bytes
        self._upload_id: str | None = None
        self._parts: list[Future[dict[str, Any]]] = []
        self._sending: deque[Future[dict[str, Any]]] = deque()

    def __enter__(self) -> S3BlobWriter:
        """Return the writer itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Drop what was not committed."""
        self._drop()

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes at the end."""
        view = memoryview(data)
        while view:
            room = self._part_bytes - len(self._buffer)
            if not room:
                self._send_part()
                continue
            self._buffer += view[:room]
            view = view[room:]

    def commit(self, *, sha256: str | None = None, md5: str | None = None, size_bytes: int | None = None) -> BlobInfo:
        """Compare, then make the bytes an object under their name."""
        if self._upload_id is not None:
            if self._buffer:
                self._send_part()
            return self._complete(self._digests.checked(sha256=sha256, md5=md5, size_bytes=size_bytes))
        with self._digests.taking(self._buffer):
            pass
        info = self._digests.checked(sha256=sha256, md5=md5, size_bytes=size_bytes)
        settings = self._connection.settings
        with self._connection.translated():
            self._connection.client.put_object(
                Bucket=settings.bucket, Key=self._place(info.key), Body=bytes(self._buffer), **settings.encryption
            )
        self._buffer = bytearray()
        return info

    def _send_part(self) -> None:
        """Begin to send what is in the buffer, and wait while too much is under way."""
        settings = self._connection.settings
        try:
            if self._upload_id is None:
                with self._connection.translated():
                    answer = self._connection.client.create_multipart_upload(
                        Bucket=settings.bucket, Key=self._object, **settings.part_checksums, **settings.encryption
                    )
                self._upload_id = str(answer["UploadId"])
            part, self._buffer = self._buffer, bytearray()
            number = len(self._parts) + 1
            with self._digests.taking(part):
                sent = self._connection.threads.submit(self._sent_part, self._upload_id, number, part)
                self._parts.append(sent)
                self._sending.append(sent)
            while len(self._sending) >= _PARTS_UNDER_WAY:
                self._sending.popleft().result()
        except ModelBoxError:
            self._drop()
            raise
        if number % _DOUBLE_AFTER_PARTS == 0:
            self._part_bytes *= 2

    def _sent_part(self, upload_id: str, number: int, part: bytearray) -> dict[str, Any]:
        with self._connection.translated():
            answer = self._connection.client.upload_part(
                Bucket=self._connection.settings.bucket, Key=self._object, UploadId=upload_id, PartNumber=number, Body=part
            )
        checksum = {"ChecksumCRC32": answer["ChecksumCRC32"]} if "ChecksumCRC32" in answer else {}
        return {"PartNumber": number, "ETag": answer["ETag"], **checksum}

    def _complete(self, info: BlobInfo) -> BlobInfo:
        settings, place = self._connection.settings, self._place(info.key)
        parts = [part.result() for part in self._parts]
        client = self._connection.client
        try:
            with self._connection.translated(info.key):
                client.complete_multipart_upload(
                    Bucket=settings.bucket, Key=self._object, UploadId=self._upload_id, MultipartUpload={"Parts": parts}
                )
        except BlobMissing as error:
            # S3 may have done it and its answer may be lost; the second request then finds no upload any more.
            if not self._is_complete(info.size_bytes):
                raise StorageUnavailable("S3 forgot an upload before it was complete: send it again.", retry_after_s=1.0) from error
        self._upload_id = None
        with self._connection.translated():
            if self._object != place:
                try:
                    copy_object(self._connection, self._object, place, info.size_bytes)
                finally:
                    client.delete_object(Bucket=settings.bucket, Key=self._object)
        return info

    def _is_complete(self, size_bytes: int) -> bool:
        try:
            with self._connection.translated(self._object):
                found = self._connection.client.head_object(Bucket=self._connection.settings.bucket, Key=self._object)
        except BlobMissing:
            return False
        return int(found["ContentLength"]) == size_bytes

    def _drop(self) -> None:
        """Forget what S3 has of it. What cannot be dropped now is cleaned up a day later."""
        self._buffer = bytearray()
        upload_id, self._upload_id = self._upload_id, None
        sending, self._sending = self._sending, deque()
        for part in sending:
            part.cancel()
        for part in sending:
            if not part.cancelled():
                part.exception()
        if upload_id is not None:
            with suppress(ModelBoxError), self._connection.translated():
                self._connection.client.abort_multipart_upload(
                    Bucket=self._connection.settings.bucket, Key=self._object, UploadId=upload_id
                )


def copy_object(connection: S3Connection, source: str, target: str, size_bytes: int) -> None:
    """Copy an object inside the bucket, without its bytes coming here; call it inside ``connection.translated()``."""
    settings, client = connection.settings, connection.client
    origin = {"Bucket": settings.bucket, "Key": source}
    if size_bytes <= _COPY_WHOLE_BYTES:
        client.copy_object(Bucket=settings.bucket, Key=target, CopySource=origin, **settings.encryption)
        return
    upload_id = client.create_multipart_upload(Bucket=settings.bucket, Key=target, **settings.encryption)["UploadId"]
    which = {"Bucket": settings.bucket, "Key": target, "UploadId": upload_id}
    try:
        parts = []
        for number, start in enumerate(range(0, size_bytes, _COPY_PART_BYTES), start=1):
            stop = min(start + _COPY_PART_BYTES, size_bytes)
            copied = client.upload_part_copy(**which, PartNumber=number, CopySource=origin, CopySourceRange=f"bytes={start}-{stop - 1}")
            parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
        client.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
    except BaseException:
        client.abort_multipart_upload(**which)
        raise
