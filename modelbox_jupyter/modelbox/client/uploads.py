"""Uploads: at once where the store answers, later where it does not.

A file that is to arrive later is copied into the journal, so that it may change or go in the meantime. Where there is no room for a copy,
the journal names the file where it lies, with its digest: it arrives if it is still the same then.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from modelbox.client.operations import operation
from modelbox.entities.ids import file_id, salted_id
from modelbox.entities.records import ArtifactRecord, ArtifactStorage
from modelbox.entities.times import now
from modelbox.errors import (
    ChecksumMismatch,
    NotFound,
    RateLimited,
    ServerUnreachable,
    StorageUnavailable,
    Unauthenticated,
)
from modelbox.wire import routes
from modelbox.wire.messages import ArtifactUploadQuery, TrackedFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelbox.client.files import SteadyFile
    from modelbox.client.session import Session

__all__ = ["provisional", "upload_later", "upload_now"]

_LATER = (ServerUnreachable, StorageUnavailable, RateLimited, Unauthenticated)
_CHUNK_BYTES = 1 << 20


def upload_now(session: Session, object_id: str, query: ArtifactUploadQuery, file: SteadyFile) -> ArtifactRecord | None:
    """Upload the rest of `file`; ``None`` when the store is away, unless the connection is strict.

    Raises
    ------
    ModelBoxError
        As the store raises it.
    """
    if session.is_offline:
        return None
    session.introduce()
    if session.sender.is_away and not session.strict:
        return None
    begin = file.tell()
    try:
        return session.transport.upload(object_id, query, file)
    except _LATER:
        if session.strict:
            raise
    except NotFound:
        if not session.sender.owes_operations:
            raise
    file.seek(begin)
    return None


def upload_later(
    session: Session, object_id: str, query: ArtifactUploadQuery, file: SteadyFile, path: Path, answered: Callable[[ArtifactRecord], None]
) -> None:
    """Have a file uploaded when the store answers."""

    def copy(target: Path) -> None:
        digest = hashlib.sha256()
        file.seek(0)
        with target.open("xb") as kept:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                kept.write(chunk)
        if digest.hexdigest() != query.sha256:
            raise ChecksumMismatch(f"{path} changed while it was read, so nothing is kept: upload it when it is complete.")

    kept = session.sender.keep_file(copy, query.size_bytes or 0)
    if kept is None:
        session.notices.log(
            "file",
            f"ModelBox: {path} is not copied {session.sender.kept}, for want of room or of a disk that works; it is uploaded from where it "
            "lies when the store answers, if it is unchanged then.",
        )
    later = operation(routes.UPLOAD_ARTIFACT, path={"object_id": object_id}, query=query, file=kept or str(path.absolute()))
    session.submit(later, answered)


def provisional(object_id: str, file: ArtifactUploadQuery | TrackedFile) -> ArtifactRecord:
    """Return the record of an artifact as it will be, before the store has answered."""
    at = now()
    md5 = file.md5 or ""
    tracked = isinstance(file, TrackedFile)
    uri = file.uri if isinstance(file, TrackedFile) else ""
    number = file.file_type.number
    return ArtifactRecord(
        id=file_id(object_id, number, md5) if md5 else salted_id("artifact", object_id, str(number), file.sha256 or uri, file.name),
        parent_id=object_id,
        namespace="",
        name=file.name,
        file_type=file.file_type,
        storage=ArtifactStorage.TRACKED if tracked else ArtifactStorage.UPLOADED,
        media_type=file.media_type,
        size_bytes=file.size_bytes,
        md5=md5,
        sha256=file.sha256 or "",
        uri=uri,
        created_at=at,
        updated_at=at,
    )
