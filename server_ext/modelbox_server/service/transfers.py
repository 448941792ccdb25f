"""Bytes that do not pass through this server: who may send or fetch them where, and how they become artifacts.

The server that keeps the metadata hands out tickets, blob servers move the bytes, and only the former makes an artifact of them, after it
has seen the receipt of the latter and the bytes in the store that all of them share.
"""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from modelbox.errors import ChecksumMismatch, InvalidRequest, PermissionDenied, StorageUnavailable
from modelbox.wire.messages import TransferTicket
from modelbox.wire.routes import GET_BLOB, PUT_BLOB
from modelbox_server.service.tickets import DownloadClaims, ReceiptClaims, TicketDesk, UploadClaims
from modelbox_server.storage.interfaces import BlobInfo

if TYPE_CHECKING:
    from modelbox.entities.records import ArtifactRecord
    from modelbox.wire.messages import ArtifactUploadQuery, UploadFinish
    from modelbox_server.service.artifacts import ArtifactsService
    from modelbox_server.service.context import Caller, Clock

__all__ = ["DIRECT_FROM_BYTES", "RECEIPT_LIFETIME_S", "BlobServers", "TransfersService"]

DIRECT_FROM_BYTES = 1 << 20
"""From which size on clients should ask for a ticket: below, asking takes longer than sending."""

RECEIPT_LIFETIME_S = 3600.0
"""How long a client may take to hand in a receipt; bytes without an artifact are spared for as long by default."""


@dataclass(frozen=True, slots=True)
class BlobServers:
    """Servers that move bytes on behalf of this one.

    Parameters
    ----------
    urls
        Where they are, as clients reach them.
    desk
        Writes the tickets that they know.
    lifetime_s
        How long a ticket is good.
    """

    urls: tuple[str, ...]
    desk: TicketDesk
    lifetime_s: float


class TransfersService:
    """Hand out tickets, and make artifacts of what was done with them.

    Parameters
    ----------
    artifacts
        Records them.
    blob_servers
        Who moves bytes; without any, everything goes through this server.
    clock
        Tells the time.
    """

    def __init__(self, artifacts: ArtifactsService, blob_servers: BlobServers | None, clock: Clock) -> None:
        self._artifacts = artifacts
        self._servers = blob_servers
        self._clock = clock

    @property
    def direct_from_bytes(self) -> int | None:
        """From which size on clients should ask for a ticket; ``None`` when it is of no use."""
        return None if self._servers is None else DIRECT_FROM_BYTES

    def begin_upload(self, caller: Caller, object_id: str, query: ArtifactUploadQuery) -> TransferTicket:
        """Say where the bytes of an artifact should go."""
        declared, parent = self._artifacts.declared(caller, object_id, query)
        if self._servers is None or declared.size_bytes is None:
            return TransferTicket(how="server")
        claims = UploadClaims(
            upload_id=secrets.token_hex(16),
            object_id=object_id,
            namespace=parent.namespace,
            size_bytes=declared.size_bytes,
            sha256=declared.sha256,
            md5=declared.md5,
        )
        return self._ticket(self._servers, claims, PUT_BLOB.url())

    def finish_upload(self, caller: Caller, object_id: str, request: UploadFinish) -> ArtifactRecord:
        """Make an artifact of bytes that a blob server has given a receipt for; doing it again returns the same artifact.

        Raises
        ------
        Unauthenticated, PermissionDenied
            The receipt is none of ours, or is for another object.
        ChecksumMismatch
            Other bytes were stored than are declared.
        StorageUnavailable
            The bytes are gone again, or were never there: they have to be sent again.
        """
        if self._servers is None:
            raise InvalidRequest("This server hands out no tickets, so there is nothing to finish: upload the bytes to it.")
        declared, parent = self._artifacts.declared(caller, object_id, request.artifact)
        receipt = self._servers.desk.read(request.receipt, ReceiptClaims)
        if (receipt.object_id, receipt.namespace) != (object_id, parent.namespace):
            raise PermissionDenied("The receipt is for another object: finish the upload there.", field="receipt")
        for field, said, stored in (
            ("sha256", declared.sha256, receipt.sha256),
            ("size_bytes", declared.size_bytes, receipt.size_bytes),
            ("md5", declared.md5, receipt.md5 or declared.md5),
        ):
            if said is not None and said != stored:
                raise ChecksumMismatch(f"The {field} of what was stored is {stored}, not {said} as declared: send it again.", field=field)
        info = BlobInfo(key=receipt.key, size_bytes=receipt.size_bytes, sha256=receipt.sha256, md5=receipt.md5)
        if self._artifacts.stored_bytes(info.key) != info.size_bytes:
            raise StorageUnavailable(
                "The bytes that the receipt is for are not in the blob store: see that all servers use the same one, and send them again.",
                retry_after_s=1.0,
            )
        return self._artifacts.record_upload(caller, object_id, declared, info)

    def begin_download(self, caller: Caller, artifact_id: str) -> TransferTicket:
        """Say where the bytes of an artifact come from; a ticket that is handed out counts as a download."""
        record, key = self._artifacts.uploaded(caller, artifact_id)
        if self._servers is None:
            return TransferTicket(how="server")
        self._artifacts.note_download(caller, record)
        claims = DownloadClaims(
            key=key, namespace=record.namespace, name=record.name, sha256=record.sha256, size_bytes=record.size_bytes or 0
        )
        return self._ticket(self._servers, claims, GET_BLOB.url())

    def _ticket(self, servers: BlobServers, claims: UploadClaims | DownloadClaims, path: str) -> TransferTicket:
        # Clients begin with the first: a different one each time spreads them.
        urls = random.sample(servers.urls, len(servers.urls))
        return TransferTicket(
            how="blob_server",
            urls=[f"{url.rstrip('/')}{path}" for url in urls],
            headers={"Authorization": f"Bearer {servers.desk.write(claims, servers.lifetime_s)}"},
            expires_at=self._clock() + timedelta(seconds=servers.lifetime_s),
        )
