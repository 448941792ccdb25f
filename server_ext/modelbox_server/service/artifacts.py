"""Artifacts: files of any object, uploaded (their bytes are kept) or tracked (a reference to where they lie).

A name is a label with ``/`` between its parts; a directory is many artifacts with a common beginning. Neither a name nor the `uri` of a
tracked file is ever opened as a path on the server.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Generic, Self, TypeAlias, TypeVar

import msgspec

from modelbox.entities.checks import MAX_TRACKED_FILES, checked_count, checked_digest, checked_media_type, checked_prose, checked_size
from modelbox.entities.ids import file_id, salted_id
from modelbox.entities.names import checked_artifact_name
from modelbox.entities.records import ArtifactRecord, ArtifactStorage, ChangeKind, ObjectRef, Role
from modelbox.errors import (
    BlobMissing,
    ChecksumMismatch,
    InvalidRequest,
    NoContent,
    NotFound,
    QuotaExceeded,
    RangeNotSatisfiable,
    shortened,
)
from modelbox.wire.messages import ArtifactQuery, ArtifactsQuery, ArtifactUploadQuery, Deleted, Page, TrackArtifacts, TrackedFile
from modelbox_server.service.again import again
from modelbox_server.service.changes import difference, fields_of, note
from modelbox_server.service.context import Caller, Clock
from modelbox_server.service.fair_use import FairUse
from modelbox_server.service.guarded import Records, trusted
from modelbox_server.service.objects import Erased, Objects, artifact_ref, resolve
from modelbox_server.service.once import once
from modelbox_server.service.paging import page_of
from modelbox_server.storage.blobs.digests import beside
from modelbox_server.storage.interfaces import BlobInfo, BlobStore, BlobWriter, Condition, MetadataTransaction, Order

__all__ = ["ArtifactContent", "ArtifactUpload", "ArtifactsService", "Upload", "verified"]

_MD5_UP_TO_BYTES = 32 << 20
"""Larger uploads get their MD5 only when it is declared, or asked for: it would take most of the time of an upload."""


@dataclass(frozen=True, slots=True)
class ArtifactContent:
    """Bytes of an artifact from `start` up to `stop`; `size_bytes` is the size of the whole."""

    record: ArtifactRecord
    size_bytes: int
    start: int
    stop: int
    chunks: Iterator[bytes]


R_co = TypeVar("R_co", covariant=True)


class ArtifactsService:
    """Upload, track, list, read and delete artifacts."""

    def __init__(self, records: Records, blobs: BlobStore, objects: Objects, fair_use: FairUse, clock: Clock) -> None:
        self._records = records
        self._blobs = blobs
        self._objects = objects
        self._fair_use = fair_use
        self._clock = clock

    def begin_upload(self, caller: Caller, object_id: str, query: ArtifactUploadQuery) -> "ArtifactUpload":
        """Start to take the bytes of an artifact; use the result as a context manager, write to it, and commit.

        The same bytes under the same name and type are the same artifact, however often they are sent. Other bytes under a name that is
        taken become a second artifact of that name, newer than the first.
        """
        declared, _ = self.declared(caller, object_id, query)
        return ArtifactUpload(self._blobs, declared, lambda info: self.record_upload(caller, object_id, declared, info))

    def declared(self, caller: Caller, object_id: str, query: ArtifactUploadQuery) -> tuple[ArtifactUploadQuery, ObjectRef]:
        """Return what is said of an upload, checked, and the object that it is for, which the caller may write to."""
        declared = ArtifactUploadQuery(
            name=checked_artifact_name(query.name),
            file_type=query.file_type,
            media_type=checked_media_type(query.media_type, field="media_type"),
            sha256=checked_digest(query.sha256, "SHA-256", 64, field="sha256") or None,
            md5=checked_digest(query.md5, "MD5", 32, field="md5") or None,
            size_bytes=checked_size(query.size_bytes, field="size_bytes"),
        )
        self._fair_use.refresh()
        with self._records.read(caller) as tx:
            parent = resolve(tx, object_id)
            caller.access.require(Role.WRITER, parent.namespace, "upload")
            if declared.size_bytes and not _may_be_there(tx, object_id, declared):
                self._fair_use.admit_bytes(tx, caller, parent, declared.size_bytes)
            return declared, parent

    @again
    def record_upload(self, caller: Caller, object_id: str, declared: ArtifactUploadQuery, info: BlobInfo) -> ArtifactRecord:
        """Make an artifact of bytes that lie in the blob store, for as long as they do."""
        try:
            # Whoever removes garbage names the content likewise.
            with self._records.write(caller, object_id, info.key) as tx:
                self._objects.hold_content(info.key)
                parent = resolve(tx, object_id)
                at = self._clock()
                record = ArtifactRecord(
                    id="",
                    parent_id=object_id,
                    namespace=parent.namespace,
                    name=declared.name,
                    file_type=declared.file_type,
                    storage=ArtifactStorage.UPLOADED,
                    media_type=declared.media_type,
                    size_bytes=info.size_bytes,
                    md5=info.md5,
                    sha256=info.sha256,
                    content=info.key,
                    created_at=at,
                    updated_at=at,
                )
                return _keep(tx, caller, parent, record, at, lambda: self._fair_use.admit_bytes(tx, caller, parent, info.size_bytes))
        except (NotFound, QuotaExceeded):
            # The object was deleted, or others took the last room, while its bytes came in.
            self._objects.sweep(Erased(contents={info.key}))
            raise

    @again
    def track(self, caller: Caller, object_id: str, request: TrackArtifacts) -> Page[ArtifactRecord]:
        """Keep references to files, all of them or none; a repeat returns what is there."""
        checked_count(request.files, MAX_TRACKED_FILES, "files", field="files")
        files = [_checked_file(file, f"files[{i}]") for i, file in enumerate(request.files)]
        with self._records.write(caller, object_id) as tx:
            parent = resolve(tx, object_id)
            at = self._clock()
            once(tx, caller, at)
            items = [_keep(tx, caller, parent, _tracked(parent, file, at), at) for file in files]
        return Page(items=items, limit=len(items))

    def list(self, caller: Caller, object_id: str, query: ArtifactsQuery) -> Page[ArtifactRecord]:
        """Return artifacts of an object by name; `name` finds that artifact, and everything in the directory of that name."""
        where = [Condition("parent_id", "eq", object_id)]
        if query.name is not None:
            where.append(Condition("name", "under", checked_artifact_name(query.name)))
        with self._records.read(caller) as tx:
            resolve(tx, object_id)
            return page_of(tx, ArtifactRecord, where, order=Order("name"), limit=query.limit, page_token=query.page_token)

    @again
    def get(self, caller: Caller, artifact_id: str, query: ArtifactQuery) -> ArtifactRecord:
        """Return the record of one artifact; its MD5 is made now, and kept, if the query asks for it and the upload went without."""
        with self._records.read(caller) as tx:
            record = _require(tx, artifact_id)
        if not query.md5 or record.md5 or record.content is None:
            return record
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in verified(self._blobs.read(record.content), record):
            digest.update(chunk)
        with self._records.write(caller, record.parent_id) as tx:
            # Nobody changed the artifact: this was true of it all the time.
            record = msgspec.structs.replace(_require(tx, artifact_id), md5=digest.hexdigest())
            trusted(tx).put([record])
        return record

    def open(self, caller: Caller, artifact_id: str, start: int = 0, stop: int | None = None) -> ArtifactContent:
        """Return the bytes of an artifact from `start` up to `stop` (default: the end).

        A complete read is checked against the digest of the upload before its last bytes are handed out. A read from the first byte leaves
        a change event.

        Raises
        ------
        NoContent
            It is only tracked.
        RangeNotSatisfiable
            `start` lies beyond the end, or `stop` before `start`.
        BlobMissing, ChecksumMismatch
            The stored bytes are gone, or are not those that were uploaded.
        """
        record, key = self.uploaded(caller, artifact_id)
        size_bytes = self._size(record, key)
        end = size_bytes if stop is None else min(stop, size_bytes)
        if start < 0 or end < start or (start >= size_bytes and size_bytes > 0):
            raise RangeNotSatisfiable(
                f"The artifact {shortened(record.name)} has {size_bytes} bytes: {start} to {stop} is no part of it.",
                limit=f"{size_bytes} bytes",
            )
        if start == 0:
            self.note_download(caller, record)
        chunks = self._blobs.read(key, start, end)
        whole = start == 0 and end == size_bytes
        return ArtifactContent(record, size_bytes, start, end, verified(chunks, record) if whole else chunks)

    def uploaded(self, caller: Caller, artifact_id: str) -> tuple[ArtifactRecord, str]:
        """Return an artifact and the key of its bytes.

        Raises
        ------
        NoContent
            It is only tracked.
        """
        with self._records.read(caller) as tx:
            record = _require(tx, artifact_id)
        if record.content is None:
            raise NoContent(
                f"The content of {shortened(record.name)} was never uploaded, only tracked at {shortened(record.uri)}: get it there."
            )
        return record, record.content

    def stored_bytes(self, key: str) -> int | None:
        """Return how many bytes lie under a key; ``None`` where there is nothing."""
        try:
            return self._blobs.size(key)
        except BlobMissing:
            return None

    def _size(self, record: ArtifactRecord, key: str) -> int:
        try:
            size_bytes = self._blobs.size(key)
        except BlobMissing as error:
            raise BlobMissing(f"The bytes of artifact {record.id} ({shortened(record.name)}) are gone from the blob store.") from error
        if size_bytes != record.size_bytes:
            raise _damaged(record)
        return size_bytes

    @again
    def note_download(self, caller: Caller, record: ArtifactRecord) -> None:
        """Leave a change event of a download."""
        with self._records.write(caller, record.parent_id) as tx:
            ref = tx.get(ObjectRef, record.parent_id)
            if ref is not None:
                subject = artifact_ref(record, ref.type)
                note(tx, caller, ChangeKind.DOWNLOADED, subject, self._clock(), object_type="artifact", payload={"name": record.name})

    @again
    def delete(self, caller: Caller, artifact_id: str) -> Deleted:
        """Delete an artifact, and its bytes unless another artifact has the same ones."""
        with self._records.write(caller) as tx:
            record = _require(tx, artifact_id)
            subject = artifact_ref(record, resolve(tx, record.parent_id).type)
            tx.delete(ArtifactRecord, [Condition("id", "eq", record.id)])
            note(tx, caller, ChangeKind.DESTROYED, subject, self._clock(), object_type="artifact", payload={"old": fields_of(record)})
        self._objects.sweep(Erased(contents=set() if record.content is None else {record.content}))
        return Deleted(deleted=1)


class Upload(Generic[R_co]):
    """Bytes on their way in. Nobody sees them before :meth:`commit`; leaving the ``with`` block without it drops them.

    Parameters
    ----------
    blobs
        Where they go.
    declared
        What is said of them.
    record
        Makes of them, once they are kept, what :meth:`commit` returns.
    """

    def __init__(self, blobs: BlobStore, declared: ArtifactUploadQuery, record: Callable[[BlobInfo], R_co]) -> None:
        self._blobs = blobs
        self._writer: BlobWriter | None = None
        self._declared = declared
        self._record = record
        self._size_bytes = 0

    def __enter__(self) -> Self:
        declared = self._declared
        with_md5 = declared.md5 is not None or declared.size_bytes is None or declared.size_bytes <= _MD5_UP_TO_BYTES
        self._writer = self._blobs.writer(md5=with_md5, sha256=declared.sha256).__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open_writer().__exit__(kind, error, trace)

    def _open_writer(self) -> BlobWriter:
        if self._writer is None:
            raise RuntimeError("an upload is a context manager: write and commit inside its with block")
        return self._writer

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes at the end; the buffer of `data` may be used again afterwards.

        Raises
        ------
        InvalidRequest
            There are more than were declared.
        """
        self._size_bytes += len(data)
        if self._declared.size_bytes is not None and self._size_bytes > self._declared.size_bytes:
            raise self._wrong_size("more")
        self._open_writer().write(data)

    def commit(self, *, sha256: str | None = None) -> R_co:
        """Keep the bytes and return what is made of them, such as the record of an artifact.

        Parameters
        ----------
        sha256
            What the bytes should have, where that was not known before the last of them.

        Raises
        ------
        InvalidRequest
            There are fewer bytes than were declared.
        ChecksumMismatch
            They are not the bytes whose digest was declared.
        NotFound
            The object was deleted meanwhile.
        """
        if self._declared.size_bytes is not None and self._size_bytes != self._declared.size_bytes:
            raise self._wrong_size(str(self._size_bytes))
        expected = self._declared.sha256 if sha256 is None else sha256
        return self._record(self._open_writer().commit(sha256=expected, md5=self._declared.md5))

    def _wrong_size(self, came: str) -> InvalidRequest:
        return InvalidRequest(
            f"{shortened(self._declared.name)} was declared with {self._declared.size_bytes} bytes, but {came} came: "
            "did the file change while it was read? Nothing was stored.",
            field="size_bytes",
        )


ArtifactUpload: TypeAlias = Upload[ArtifactRecord]
"""An upload that becomes an artifact."""


def _require(tx: MetadataTransaction, artifact_id: str) -> ArtifactRecord:
    record = tx.get(ArtifactRecord, artifact_id)
    if record is None:
        raise NotFound(f"There is no artifact {shortened(artifact_id, 60)}: it was never created, or it was deleted.")
    return record


def _checked_file(file: TrackedFile, field: str) -> TrackedFile:
    return TrackedFile(
        name=checked_artifact_name(file.name, field=f"{field}.name"),
        uri=checked_prose(file.uri, "uri", field=f"{field}.uri"),
        file_type=file.file_type,
        md5=checked_digest(file.md5, "MD5", 32, field=f"{field}.md5"),
        sha256=checked_digest(file.sha256, "SHA-256", 64, field=f"{field}.sha256"),
        size_bytes=checked_size(file.size_bytes, field=f"{field}.size_bytes"),
        media_type=checked_media_type(file.media_type, field=f"{field}.media_type"),
    )


def _tracked(parent: ObjectRef, file: TrackedFile, at: datetime) -> ArtifactRecord:
    return ArtifactRecord(
        id="",
        parent_id=parent.id,
        namespace=parent.namespace,
        name=file.name,
        file_type=file.file_type,
        storage=ArtifactStorage.TRACKED,
        media_type=file.media_type,
        size_bytes=file.size_bytes,
        md5=file.md5,
        sha256=file.sha256,
        uri=file.uri,
        created_at=at,
        updated_at=at,
    )


def _may_be_there(tx: MetadataTransaction, object_id: str, declared: ArtifactUploadQuery) -> bool:
    """Tell whether the artifact may have been uploaded before: sending it again takes no more room."""
    same = {"parent_id": object_id, "name": declared.name, "size_bytes": declared.size_bytes}
    return bool(tx.count(ArtifactRecord, [Condition(field, "eq", value) for field, value in same.items()]))


def _keep(
    tx: MetadataTransaction,
    caller: Caller,
    parent: ObjectRef,
    wanted: ArtifactRecord,
    at: datetime,
    admit: Callable[[], None] = lambda: None,
) -> ArtifactRecord:
    """Insert an artifact under the id that its content derives, or return the one that is there.

    The rule of 2022 hashes the content but not the name. The first name keeps that id; the same content under another name gets a salted
    one, so that no name is lost. A file whose owner tells no digest is known by its name and place alone. `admit` is called before there
    is more than before.
    """
    number = wanted.file_type.number
    salted = salted_id("artifact", parent.id, str(number), wanted.md5 or wanted.sha256 or wanted.uri, wanted.name)
    artifact_id = file_id(parent.id, number, wanted.md5) if wanted.md5 else salted
    found = tx.get(ArtifactRecord, artifact_id)
    if found is not None and found.name != wanted.name:
        artifact_id = salted
        found = tx.get(ArtifactRecord, artifact_id)
    found = found or _known_by_sha256(tx, wanted)
    kind = ChangeKind.UPLOADED if wanted.storage is ArtifactStorage.UPLOADED else ChangeKind.CREATED
    if found is None or found.storage is ArtifactStorage.TRACKED:
        admit()
    if found is None:
        record = msgspec.structs.replace(wanted, id=artifact_id)
        tx.insert(record)
        note(tx, caller, kind, artifact_ref(record, parent.type), at, object_type="artifact", payload={"new": fields_of(record)})
        return record
    record = _merged(found, wanted)
    if record == found:
        return found
    record = msgspec.structs.replace(record, updated_at=at)
    tx.put([record])
    kind = kind if kind is ChangeKind.UPLOADED else ChangeKind.UPDATED
    note(tx, caller, kind, artifact_ref(record, parent.type), at, object_type="artifact", payload=difference(found, record))
    return record


def _known_by_sha256(tx: MetadataTransaction, wanted: ArtifactRecord) -> ArtifactRecord | None:
    """Return a large artifact that came once with an MD5 and once without, and therefore would get two ids."""
    if not wanted.sha256 or wanted.size_bytes is None or wanted.size_bytes <= _MD5_UP_TO_BYTES:
        return None
    named = tx.select(ArtifactRecord, [Condition("parent_id", "eq", wanted.parent_id), Condition("name", "eq", wanted.name)])
    return next((record for record in named if (record.sha256, record.file_type) == (wanted.sha256, wanted.file_type)), None)


def _merged(found: ArtifactRecord, wanted: ArtifactRecord) -> ArtifactRecord:
    """Return what is known of one file after it was sent once more: bytes are never given up, a reference may move."""
    if wanted.storage is ArtifactStorage.UPLOADED and found.storage is ArtifactStorage.TRACKED:
        return msgspec.structs.replace(
            wanted,
            id=found.id,
            uri=found.uri,
            md5=wanted.md5 or found.md5,
            created_at=found.created_at,
            updated_at=found.updated_at,
        )
    if wanted.storage is ArtifactStorage.TRACKED and found.storage is ArtifactStorage.TRACKED:
        return msgspec.structs.replace(wanted, id=found.id, created_at=found.created_at, updated_at=found.updated_at)
    return msgspec.structs.replace(found, md5=found.md5 or wanted.md5)


def verified(chunks: Iterator[bytes], record: ArtifactRecord) -> Iterator[bytes]:
    """Yield the chunks, but hold the last one back until the digest of all is right; hash each while the one before is put to use."""
    digest = hashlib.sha256()
    held: bytes | None = None
    for chunk in chunks:
        hashing = beside(digest.update, chunk)
        if held is not None:
            yield held
        hashing.result()
        held = chunk
    if digest.hexdigest() != record.sha256:
        raise _damaged(record)
    if held is not None:
        yield held


def _damaged(record: ArtifactRecord) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"The stored bytes of artifact {record.id} ({shortened(record.name)}) are not those that were uploaded: upload them again."
    )
