"""Bytes of artifacts as objects of a bucket: the ``s3`` blob store.

::

    PREFIX/ab/ab34…             whole, named after the SHA-256 of the content
    PREFIX/incoming/<random>    being written, or about to be copied to its name

An object appears under its name by one call, so it is whole or absent. Every service checks as much as it likes; we compare the SHA-256
of what we sent, and of what comes back.

Thread safety: a store may be used from any thread at once, and in a forked child; a writer by one thread at a time.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from modelbox.errors import BlobMissing, ModelBoxError, StorageUnavailable, shortened
from modelbox_server.storage.blobs.s3_connection import S3Connection
from modelbox_server.storage.blobs.s3_writer import S3BlobWriter
from modelbox_server.storage.interfaces import BlobEntry, Leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelbox_server.storage.blobs.s3_settings import S3Settings

__all__ = ["S3BlobStore"]

log = logging.getLogger(__name__)

_KEY = re.compile(r"[0-9a-f]{64}")
_INCOMING = "incoming/"
_STALE_S = 24 * 3600.0
_CLEAN_EVERY_S = 3600.0
_RESUMPTIONS = 3
_CHUNK_BYTES = 1 << 20
_NOTHING_THERE = 416


class S3BlobStore:
    """A blob store in a bucket; see :class:`modelbox_server.storage.interfaces.BlobStore` for what it promises.

    Parameters
    ----------
    settings
        Which bucket, where, and how. Nothing is asked of it before the first use, so a service that is away keeps no server from starting.
    """

    name = "s3"

    def __init__(self, settings: S3Settings) -> None:
        self.connection = S3Connection(settings)
        self._prefix = f"{settings.prefix.strip('/')}/" if settings.prefix.strip("/") else ""
        self._cleaned_at_s = time.monotonic()

    @property
    def incoming(self) -> str:
        """What the object keys of unfinished contents begin with."""
        return self._prefix + _INCOMING

    def place(self, key: str) -> str:
        """Return the object key of a content; nothing that is not a key ever becomes one."""
        if _KEY.fullmatch(key) is None:
            raise BlobMissing(f"There is no content {shortened(key)}: keys are 64 hexadecimal digits.")
        return f"{self._prefix}{key[:2]}/{key}"

    def writer(self, *, md5: bool = True, sha256: str | None = None) -> S3BlobWriter:
        """Start to store new bytes."""
        self._clean_sometimes()
        expected = sha256.lower() if sha256 else None
        return S3BlobWriter(self.connection, self.place, self.incoming, md5=md5, sha256=expected)

    def size(self, key: str) -> int:
        """Return the size in bytes."""
        return int(self._head(key)["ContentLength"])

    def age_s(self, key: str) -> float:
        """Return how long ago the bytes were stored last, by the clock of S3."""
        found = self._head(key)
        return float((_date_of(found) - found["LastModified"]).total_seconds())

    def _head(self, key: str) -> dict[str, Any]:
        place = self.place(key)
        with self.connection.translated(key):
            found: dict[str, Any] = self.connection.client.head_object(Bucket=self.connection.settings.bucket, Key=place)
        return found

    def read(self, key: str, start: int = 0, stop: int | None = None, *, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop`; the key is looked up at once."""
        return _Chunks(self.connection, key, self.place(key), start, stop, chunk_bytes)

    def read_object(self, place: str) -> Iterator[bytes]:
        """Yield an object by its own key, whatever it is."""
        return _Chunks(self.connection, place, place, 0, None, _CHUNK_BYTES)

    def delete(self, key: str) -> bool:
        """Delete the bytes; return whether there were any."""
        try:
            self.size(key)
        except BlobMissing:
            return False
        with self.connection.translated():
            self.connection.client.delete_object(Bucket=self.connection.settings.bucket, Key=self.place(key))
        return True

    def keys(self) -> Iterator[str]:
        """Yield the key of everything stored."""
        return (entry.key for entry in self.entries())

    def entries(self) -> Iterator[BlobEntry]:
        """Yield everything stored, with its size and its age by the clock of S3."""
        for found, now in self._objects(""):
            name = str(found["Key"]).rpartition("/")[2]
            if _KEY.fullmatch(name) and found["Key"] == self.place(name):
                yield BlobEntry(key=name, size_bytes=int(found["Size"]), age_s=(now - found["LastModified"]).total_seconds())

    def clean(self, older_than_s: float = _STALE_S, *, dry_run: bool = False) -> Leftovers:
        """Remove passing objects and multipart uploads that nobody went on with."""
        settings = self.connection.settings
        count = size_bytes = 0
        for found, now in self._objects(_INCOMING):
            if (now - found["LastModified"]).total_seconds() >= older_than_s:
                count, size_bytes = count + 1, size_bytes + int(found["Size"])
                if not dry_run:
                    with self.connection.translated():
                        self.connection.client.delete_object(Bucket=settings.bucket, Key=found["Key"])
        for upload, now in self._uploads():
            parts = self._parts_of(upload) if (now - upload["Initiated"]).total_seconds() >= older_than_s else None
            if parts is not None and all((now - part["LastModified"]).total_seconds() >= older_than_s for part in parts):
                count, size_bytes = count + 1, size_bytes + sum(int(part["Size"]) for part in parts)
                if not dry_run:
                    self._abort(upload)
        return Leftovers(count=count, size_bytes=size_bytes)

    def check(self) -> None:
        """Return if an object can be written now, raise the reason otherwise."""
        which = {"Bucket": self.connection.settings.bucket, "Key": f"{self.incoming}probe-{secrets.token_hex(8)}"}
        with self.connection.translated():
            client = self.connection.hasty_client
            client.put_object(**which, Body=b"probe", **self.connection.settings.encryption)
            client.delete_object(**which)

    def close(self) -> None:
        """Release connections."""
        self.connection.close()

    def _objects(self, below: str) -> Iterator[tuple[dict[str, Any], datetime]]:
        """Yield what lies below a part of the prefix, each with the time by the clock of S3."""
        yield from self._listed("list_objects_v2", "Contents", below)

    def _uploads(self) -> Iterator[tuple[dict[str, Any], datetime]]:
        # Some services list only what has exactly the prefix as its key: then there is nothing to abort, which harms nobody.
        yield from self._listed("list_multipart_uploads", "Uploads", "")

    def _parts_of(self, upload: dict[str, Any]) -> list[dict[str, Any]] | None:
        """Return what came of an upload; ``None`` when it ended meanwhile."""
        which = {"Bucket": self.connection.settings.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        try:
            with self.connection.translated(upload["Key"]):
                pages = self.connection.client.get_paginator("list_parts").paginate(**which)
                return [part for page in pages for part in page.get("Parts", [])]
        except BlobMissing:
            return None

    def _listed(self, operation: str, what: str, below: str) -> Iterator[tuple[dict[str, Any], datetime]]:
        paginator = self.connection.client.get_paginator(operation)
        pages = iter(paginator.paginate(Bucket=self.connection.settings.bucket, Prefix=self._prefix + below))
        while True:
            page = None
            with suppress(BlobMissing), self.connection.translated(below):  # some services call an empty list a missing one
                page = next(pages, None)
            if page is None:
                return
            now = _date_of(page)
            yield from ((found, now) for found in page.get(what, []))

    def _abort(self, upload: dict[str, Any]) -> None:
        # Missing when another server cleans too, or when it was completed at this moment.
        with suppress(BlobMissing), self.connection.translated(upload["Key"]):
            self.connection.client.abort_multipart_upload(
                Bucket=self.connection.settings.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )

    def _clean_sometimes(self) -> None:
        if time.monotonic() < self._cleaned_at_s + _CLEAN_EVERY_S:
            return
        self._cleaned_at_s = time.monotonic()
        self.connection.threads.submit(self._clean_quietly)

    def _clean_quietly(self) -> None:
        try:
            self.clean()
        except ModelBoxError as error:
            log.warning("Unfinished uploads are cleaned up later: %s", error)


class _Chunks:
    """The bytes of an object from one place to another; where a connection breaks, another goes on from there."""

    def __init__(self, connection: S3Connection, key: str, place: str, start: int, stop: int | None, chunk_bytes: int) -> None:
        self._connection, self._key, self._place = connection, key, place
        self._start, self._stop, self._chunk_bytes = start, stop, chunk_bytes
        self._tries = 0
        self._body: Any = None
        self._left_bytes = 0
        self._open()

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> bytes:
        while self._left_bytes:
            try:
                chunk: bytes = self._body.read(min(self._chunk_bytes, self._left_bytes))
                broke: Exception | None = None
            except (BotoCoreError, HTTPError, OSError) as error:
                chunk, broke = b"", error
            if chunk:
                self._tries = 0
                self._start += len(chunk)
                self._left_bytes -= len(chunk)
                return chunk
            self._tries += 1
            if self._tries > _RESUMPTIONS:
                raise StorageUnavailable(
                    f"S3 ended the content {self._key} {self._left_bytes} bytes early, several times: try again.", retry_after_s=5.0
                ) from broke
            self._stop = self._start + self._left_bytes
            self.close()
            self._open()
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Give the connection back."""
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def _open(self) -> None:
        which: dict[str, Any] = {"Bucket": self._connection.settings.bucket, "Key": self._place}
        if self._stop is not None and self._stop <= self._start:
            with self._connection.translated(self._key):
                self._connection.client.head_object(**which)
            return
        if self._start or self._stop is not None:
            which["Range"] = f"bytes={self._start}-{'' if self._stop is None else self._stop - 1}"
        with self._connection.translated(self._key):
            try:
                answer = self._connection.client.get_object(**which)
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != _NOTHING_THERE:
                    raise
                return
        self._body, self._left_bytes = answer["Body"], int(answer["ContentLength"])


def _date_of(page: dict[str, Any]) -> datetime:
    """Return the time by the clock of S3, in which ages have to be reckoned."""
    header = page.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(header) if header else datetime.now(UTC)
