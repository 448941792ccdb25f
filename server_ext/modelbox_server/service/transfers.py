"""Bytes that do not pass through this server: who may send or fetch them where, and how they become artifacts.

The server that keeps the metadata hands out tickets. Blob servers, or the storage itself, move the bytes, and only this server makes an
artifact of them, after it has read the receipt and found the bytes in the store that all of them share.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

from modelbox.errors import ChecksumMismatch, InvalidRequest, PermissionDenied, StorageUnavailable
from modelbox.wire.messages import TransferTicket
from modelbox.wire.routes import GET_BLOB, PUT_BLOB
from modelbox_server.service.tickets import DownloadClaims, PassingClaims, ReceiptClaims, TicketDesk, UploadClaims
from modelbox_server.storage.interfaces import BlobInfo

if TYPE_CHECKING:
    from modelbox.entities.records import ArtifactRecord, ObjectRef
    from modelbox.wire.messages import ArtifactUploadQuery, UploadFinish
    from modelbox_server.service.artifacts import ArtifactsService
    from modelbox_server.service.context import Caller, Clock
    from modelbox_server.storage.interfaces import DirectBlobs

__all__ = ["DIRECT_FROM_BYTES", "RECEIPT_LIFETIME_S", "TransfersService", "Ways"]

DIRECT_FROM_BYTES = 1 << 20
"""From which size on clients should ask for a ticket: below, asking takes longer than sending."""

RECEIPT_LIFETIME_S = 3600.0
"""How long a client may take to hand in a receipt; bytes without an artifact are spared for as long by default."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How bytes can move without this server.

    Parameters
    ----------
    desk
        Writes the tickets, and reads the receipts.
    lifetime_s
        How long a ticket is good.
    servers
        Addresses of blob servers, as clients reach them.
    storage
        The storage itself, when clients may talk to it.
    """

    desk: TicketDesk
    lifetime_s: float
    servers: tuple[str, ...] = ()
    storage: DirectBlobs | None = None


class TransfersService:
    """Hand out tickets, and make artifacts of what was done with them.

    Parameters
    ----------
    artifacts
        Records them.
    ways
        How bytes can move; when ``None``, everything goes through this server.
    clock
        Tells the time.
    """

    def __init__(self, artifacts: ArtifactsService, ways: Ways | None, clock: Clock) -> None:
        self._artifacts = artifacts
        self._ways = ways
        self._clock = clock
        self._turns = count(secrets.randbelow(1 << 16))

    @property
    def direct_from_bytes(self) -> int | None:
        """From which size on clients should ask for a ticket; ``None`` when it is of no use."""
        return None if self._ways is None else DIRECT_FROM_BYTES

    def begin_upload(self, caller: Caller, object_id: str, query: ArtifactUploadQuery) -> TransferTicket:
        """Say where the bytes of an artifact should go."""
        declared, parent = self._artifacts.declared(caller, object_id, query)
        if self._ways is None or declared.size_bytes is None:
            return TransferTicket(how="server")
        if self._ways.storage is not None:
            if declared.sha256 is None:
                return TransferTicket(how="digest")
            ticket = self._to_storage(self._ways, self._ways.storage, parent, declared.sha256, declared.size_bytes)
            if ticket is not None:
                return ticket
        claims = UploadClaims(
            upload_id=secrets.token_hex(16),
            object_id=object_id,
            namespace=parent.namespace,
            size_bytes=declared.size_bytes,
            sha256=declared.sha256,
            md5=declared.md5,
        )
        return self._for_blob_servers(self._ways, claims, PUT_BLOB.url())

    def _to_storage(self, ways: Ways, storage: DirectBlobs, parent: ObjectRef, sha256: str, size_bytes: int) -> TransferTicket | None:
        upload = storage.upload(sha256.lower(), size_bytes, ways.lifetime_s)
        if upload is None:
            return None
        claims = PassingClaims(
            passing=upload.passing, object_id=parent.id, namespace=parent.namespace, sha256=sha256.lower(), size_bytes=size_bytes
        )
        return TransferTicket(
            how="storage",
            urls=[upload.url],
            headers=upload.headers,
            receipt=ways.desk.write(claims, RECEIPT_LIFETIME_S),
            expires_at=self._clock() + timedelta(seconds=ways.lifetime_s),
        )

    def finish_upload(self, caller: Caller, object_id: str, request: UploadFinish) -> ArtifactRecord:
        """Make an artifact of bytes that there is a receipt for; doing it again returns the same artifact.

        Raises
        ------
        Unauthenticated, PermissionDenied
            The receipt is none of ours, or is for another object.
        ChecksumMismatch
            Other bytes were stored than are declared.
        StorageUnavailable
            The bytes are gone again, or were never there: they have to be sent again.
        """
        if self._ways is None:
            raise InvalidRequest("This server hands out no tickets, so there is nothing to finish: upload the bytes to it.")
        declared, parent = self._artifacts.declared(caller, object_id, request.artifact)
        receipt = self._ways.desk.read(request.receipt, ReceiptClaims, PassingClaims)
        if (receipt.object_id, receipt.namespace) != (object_id, parent.namespace):
            raise PermissionDenied("The receipt is for another object: finish the upload there.", field="receipt")
        md5 = receipt.md5 if isinstance(receipt, ReceiptClaims) else ""
        for field, said, stored in (
            ("sha256", declared.sha256, receipt.sha256),
            ("size_bytes", declared.size_bytes, receipt.size_bytes),
            ("md5", declared.md5, md5 or declared.md5),
        ):
            if said is not None and said != stored:
                raise ChecksumMismatch(f"The {field} of what was stored is {stored}, not {said} as declared: send it again.", field=field)
        return self._artifacts.record_upload(caller, object_id, declared, self._kept(self._ways, receipt))

    def _kept(self, ways: Ways, receipt: ReceiptClaims | PassingClaims) -> BlobInfo:
        """Return the bytes of a receipt, if they are where it says."""
        if isinstance(receipt, PassingClaims):
            if ways.storage is None:
                raise InvalidRequest("This server lets nobody talk to its storage any more: upload the bytes to it.", field="receipt")
            return ways.storage.keep(receipt.passing, receipt.sha256, receipt.size_bytes)
        if self._artifacts.stored_bytes(receipt.key) != receipt.size_bytes:
            raise StorageUnavailable(
                "The bytes that the receipt is for are not in the blob store: see that all servers use the same one, and send them again.",
                retry_after_s=1.0,
            )
        return BlobInfo(key=receipt.key, size_bytes=receipt.size_bytes, sha256=receipt.sha256, md5=receipt.md5)

    def begin_download(self, caller: Caller, artifact_id: str) -> TransferTicket:
        """Say where the bytes of an artifact come from; a ticket that is handed out counts as a download."""
        record, key = self._artifacts.uploaded(caller, artifact_id)
        ways = self._ways
        if ways is None:
            return TransferTicket(how="server")
        self._artifacts.note_download(caller, record)
        if ways.storage is not None:
            url = ways.storage.url_to_read(key, ways.lifetime_s)
            return TransferTicket(how="storage", urls=[url], expires_at=self._clock() + timedelta(seconds=ways.lifetime_s))
        claims = DownloadClaims(
            key=key, namespace=record.namespace, name=record.name, sha256=record.sha256, size_bytes=record.size_bytes or 0
        )
        return self._for_blob_servers(ways, claims, GET_BLOB.url())

    def _for_blob_servers(self, ways: Ways, claims: UploadClaims | DownloadClaims, path: str) -> TransferTicket:
        if not ways.servers:
            return TransferTicket(how="server")
        # Clients begin with the first: the next one each time spreads them.
        first = next(self._turns) % len(ways.servers)
        urls = ways.servers[first:] + ways.servers[:first]
        return TransferTicket(
            how="blob_server",
            urls=[f"{url.rstrip('/')}{path}" for url in urls],
            headers={"Authorization": f"Bearer {ways.desk.write(claims, ways.lifetime_s)}"},
            expires_at=self._clock() + timedelta(seconds=ways.lifetime_s),
        )
