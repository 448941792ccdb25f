"""Transfers between clients and the bucket itself, by URLs that are signed for one of them.

A client puts its bytes under a passing name that we chose, and nowhere else: length and SHA-256 are part of the signature, and so is the
condition that nothing is there yet. Only when we have found there what was announced does S3 copy it to the name of its content.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from modelbox.errors import BlobMissing, ChecksumMismatch, StorageUnavailable
from modelbox_server.storage.blobs.s3_writer import copy_object
from modelbox_server.storage.interfaces import BlobInfo, DirectUpload

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelbox_server.storage.blobs.s3 import S3BlobStore

__all__ = ["S3Direct"]

_PASSING = re.compile(r"[0-9a-f]{32}")
_REFUSED = range(400, 500)
_NOT_IMPLEMENTED = 501

_MOST_BYTES = 5 << 30
"""S3 takes no more in one call."""

_MOST_READ_BYTES = 256 << 20
"""Where the service does not compare digests, we have to read what came, while the client waits for the answer."""


@dataclass(frozen=True, slots=True)
class _Abilities:
    """What a service does, as it was tried; many accept what they do not understand."""

    keeps_conditions: bool
    compares_digests: bool


class S3Direct:
    """Signs URLs for one bucket. Safe to use from several threads at once.

    Parameters
    ----------
    store
        The blob store in that bucket.
    """

    def __init__(self, store: S3BlobStore) -> None:
        self._store = store
        self._connection = store.connection
        self._lock = threading.Lock()
        self._tried: _Abilities | None = None

    def url_to_read(self, key: str, lifetime_s: float) -> str:
        """Return a URL that gives the bytes of a content, as a file that no browser opens."""
        return self._signed(
            "get_object",
            lifetime_s,
            Key=self._store.place(key),
            ResponseContentDisposition="attachment",
            ResponseContentType="application/octet-stream",
        )

    def upload(self, sha256: str, size_bytes: int, lifetime_s: float) -> DirectUpload | None:
        """Return where a client may put these bytes; ``None`` when they had better come through a server.

        That is so where they are too many for one call, or where the service would let a second call replace what the first one put.
        """
        abilities = self._abilities()
        most_bytes = _MOST_BYTES if abilities.compares_digests else _MOST_READ_BYTES
        if not abilities.keeps_conditions or size_bytes > most_bytes:
            return None
        passing = secrets.token_hex(16)
        checksum = b64encode(bytes.fromhex(sha256)).decode()
        encryption = self._connection.settings.encryption
        url = self._signed(
            "put_object",
            lifetime_s,
            Key=self._place(passing),
            ContentLength=size_bytes,
            ChecksumSHA256=checksum,
            IfNoneMatch="*",
            **encryption,
        )
        headers = {"If-None-Match": "*", "x-amz-checksum-sha256": checksum}
        for name, header in (("ServerSideEncryption", ""), ("SSEKMSKeyId", "-aws-kms-key-id")):
            if name in encryption:
                headers[f"x-amz-server-side-encryption{header}"] = encryption[name]
        return DirectUpload(url=url, headers=headers, passing=passing)

    def keep(self, passing: str, sha256: str, size_bytes: int) -> BlobInfo:
        """Give what a client put its name, if it is what was announced; doing it again changes nothing.

        Raises
        ------
        ChecksumMismatch
            It is something else, and is removed.
        StorageUnavailable
            There is nothing: it never came, or it came too late.
        """
        info = BlobInfo(key=sha256, size_bytes=size_bytes, sha256=sha256, md5="")
        place = self._place(passing)
        which = {"Bucket": self._connection.settings.bucket, "Key": place}
        try:
            with self._connection.translated(passing):
                found = self._connection.client.head_object(**which, ChecksumMode="ENABLED")
        except BlobMissing:
            if self._is_kept(info):
                return info
            raise StorageUnavailable("The bytes never came to the storage: send them again.", retry_after_s=1.0) from None
        is_right = int(found["ContentLength"]) == size_bytes and self._digest(place, found) == sha256
        with self._connection.translated():
            if is_right:
                copy_object(self._connection, place, self._store.place(sha256), size_bytes)
            self._connection.client.delete_object(**which)
        if not is_right:
            raise ChecksumMismatch("What came to the storage is not what was announced, and was removed: send it again.", field="sha256")
        return info

    def _is_kept(self, info: BlobInfo) -> bool:
        try:
            return self._store.size(info.key) == info.size_bytes
        except BlobMissing:
            return False

    def _digest(self, place: str, found: dict[str, Any]) -> str:
        """Return the SHA-256 of an object: what the service says, where it compares, or else our own reckoning."""
        said = str(found.get("ChecksumSHA256", ""))
        if said and self._abilities().compares_digests:
            return _hexadecimal(said)
        digest = hashlib.sha256()
        for chunk in self._store.read_object(place):
            digest.update(chunk)
        return digest.hexdigest()

    def _place(self, passing: str) -> str:
        if _PASSING.fullmatch(passing) is None:
            raise BlobMissing("There is no such upload.")
        return self._store.incoming + passing

    def _signed(self, operation: str, lifetime_s: float, **parameters: Any) -> str:
        with self._connection.translated():
            return str(
                self._connection.client.generate_presigned_url(
                    operation, Params={"Bucket": self._connection.settings.bucket, **parameters}, ExpiresIn=int(lifetime_s)
                )
            )

    def _abilities(self) -> _Abilities:
        with self._lock:
            if self._tried is None:
                self._tried = self._try()
            return self._tried

    def _try(self) -> _Abilities:
        which = {"Bucket": self._connection.settings.bucket, "Key": f"{self._store.incoming}probe-{secrets.token_hex(8)}"}
        encryption = self._connection.settings.encryption
        with self._connection.translated():
            client = self._connection.client
            try:
                client.put_object(**which, Body=b"probe", **encryption)
                return _Abilities(
                    keeps_conditions=_is_refused(lambda: client.put_object(**which, Body=b"other", IfNoneMatch="*", **encryption)),
                    compares_digests=_is_refused(
                        lambda: client.put_object(**which, Body=b"probe", ChecksumSHA256=b64encode(bytes(32)).decode(), **encryption)
                    ),
                )
            finally:
                client.delete_object(**which)


def _is_refused(call: Callable[[], object]) -> bool:
    """Tell whether the service finds a call wrong, rather than carry it out or not know it."""
    try:
        call()
    except ClientError as error:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if status in _REFUSED:
            return True
        if status == _NOT_IMPLEMENTED:
            return False
        raise
    return False


def _hexadecimal(text: str) -> str:
    """Return a digest in base64 as we write digests."""
    try:
        return b64decode(text, validate=True).hex()
    except ValueError:  # a checksum of checksums of parts: nothing that we announced
        return ""
