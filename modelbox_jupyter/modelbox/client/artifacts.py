"""Artifacts of an object: named files, uploaded (ModelBox keeps the bytes) or tracked (it keeps a reference)."""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import msgspec

from modelbox.client import progress
from modelbox.client.files import digests_of, files_below, open_steady, save_verified, size_of, target_path, verified
from modelbox.client.operations import operation
from modelbox.client.uploads import provisional, upload_later, upload_now
from modelbox.entities.checks import MAX_TRACKED_FILES, checked_count
from modelbox.entities.names import checked_artifact_name
from modelbox.entities.records import ArtifactRecord, ArtifactStorage, FileType
from modelbox.errors import InvalidRequest, NoContent, NotFound, shortened
from modelbox.wire import routes
from modelbox.wire.messages import ArtifactQuery, ArtifactsQuery, ArtifactUploadQuery, Page, TrackArtifacts, TrackedFile

if TYPE_CHECKING:
    from modelbox.client.session import Session

__all__ = ["Artifact", "ArtifactsMixin", "PathLike"]

PathLike = str | os.PathLike[str]
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class Artifact:
    """A named file of an object.

    Parameters
    ----------
    session
        The connection it belongs to.
    record
        What is known of it.
    """

    def __init__(self, session: Session, record: ArtifactRecord) -> None:
        self._session = session
        self.record = record

    def hear(self, record: ArtifactRecord) -> None:
        """Take what the store answered."""
        self.record = record

    @property
    def id(self) -> str:
        """Id of the artifact."""
        self._session.introduce()
        return self.record.id

    @property
    def name(self) -> str:
        """Its label, with ``/`` between the parts."""
        return self.record.name

    @property
    def path(self) -> str:
        """Where a tracked file lies; the name of an uploaded one."""
        return self.record.uri or self.record.name

    @property
    def size_bytes(self) -> int | None:
        """Its size; ``None`` where the owner of a tracked file did not tell."""
        return self.record.size_bytes

    @property
    def checksum(self) -> str:
        """MD5 in hex, as in 2022; ``record.sha256`` is the one that downloads are verified with.

        Large uploads go without: the store then makes it when it is first asked for here, at some 500 MB per second.
        """
        if not self.record.md5 and self.record.storage is ArtifactStorage.UPLOADED:
            self.record = self._session.call(routes.GET_ARTIFACT, path={"artifact_id": self.id}, query=ArtifactQuery(md5=True))
        return self.record.md5

    def download(self, path: PathLike | None = None, *, overwrite: bool = False) -> Path:
        """Save the bytes, verified, as `path` (or below it, if it is a folder; in the current folder when left out).

        Raises
        ------
        Conflict
            The file exists and `overwrite` is false.
        ChecksumMismatch
            What arrived is not what was stored; no file is left.
        NoContent
            The file is only tracked.
        """
        self._check_uploaded()
        sha256 = "" if self._session.transport.verifies else self.record.sha256
        with progress.task(f"Downloading {self.name}", self.size_bytes):
            return save_verified(self._arriving(), target_path(self.name, path), sha256=sha256, overwrite=overwrite)

    def read_bytes(self) -> bytes:
        """Return the content as one bytes object."""
        with progress.task(f"Reading {self.name}", self.size_bytes):
            return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """Yield the content piece by piece, as it arrives; the last piece only when all of it is known to be what was stored.

        Raises
        ------
        ChecksumMismatch
            It is not.
        NoContent
            The file is only tracked.
        """
        self._check_uploaded()
        if self._session.transport.verifies:
            yield from self._arriving()
        else:
            yield from verified(self._arriving(), sha256=self.record.sha256, name=self.name)

    def _arriving(self) -> Iterator[bytes]:
        for chunk in self._session.transport.download(self.id):
            progress.advance(len(chunk))
            yield chunk

    def delete(self) -> None:
        """Delete the artifact; bytes that another artifact shares stay."""
        self._session.call(routes.DELETE_ARTIFACT, path={"artifact_id": self.id})

    def _check_uploaded(self) -> None:
        if self.record.storage is ArtifactStorage.TRACKED:
            raise NoContent(
                f"The content of {shortened(self.name)} was never uploaded: it is tracked at {shortened(self.record.uri, 200)}."
            )

    def __repr__(self) -> str:
        return f"Artifact({self.name!r}, id={self.id!r}, {self.record.storage}, size_bytes={self.size_bytes})"


class ArtifactsMixin:
    """Artifacts of an object."""

    _session: Session
    _id: str

    @overload
    def upload_artifact(
        self,
        paths: PathLike,
        name: str | None = None,
        *,
        recursive: Literal[False] = False,
        follow_symlinks: bool = False,
        file_type: FileType | str = FileType.UNDEFINED,
    ) -> Artifact: ...

    @overload
    def upload_artifact(
        self,
        paths: list[PathLike] | tuple[PathLike, ...],
        name: str | None = None,
        *,
        recursive: bool = False,
        follow_symlinks: bool = False,
        file_type: FileType | str = FileType.UNDEFINED,
    ) -> list[Artifact]: ...

    @overload
    def upload_artifact(
        self,
        paths: PathLike,
        name: str | None = None,
        *,
        recursive: Literal[True],
        follow_symlinks: bool = False,
        file_type: FileType | str = FileType.UNDEFINED,
    ) -> list[Artifact]: ...

    def upload_artifact(
        self,
        paths: PathLike | Sequence[PathLike],
        name: str | None = None,
        *,
        recursive: bool = False,
        follow_symlinks: bool = False,
        file_type: FileType | str = FileType.UNDEFINED,
    ) -> Artifact | list[Artifact]:
        """Upload a file, several files, or with `recursive` folders; each is stored whole and verified, or not at all.

        When the store is away, a copy of the file waits with the journal and arrives later.

        Parameters
        ----------
        paths
            One path, or several. The same name again with other content is a new artifact; the old one stays.
        name
            Label; the name of the file or folder when left out.
        recursive
            Take every file of folders; their artifacts are named ``folder/path/in/it``.
        follow_symlinks
            Take what symbolic links lead to; an error otherwise.
        file_type
            What it is for.

        Returns
        -------
        Artifact or list of Artifact
            One artifact for one file, a list for several paths or with `recursive`.

        Raises
        ------
        InvalidRequest
            A path does not exist, cannot be read, is a folder without `recursive`, a link or a special file.
        ChecksumMismatch
            A file changed while it was read.
        """
        kind = _file_type(file_type)
        found = list(_named_files(paths, name, recursive=recursive, follow_symlinks=follow_symlinks))
        with progress.task(f"Uploading {_counted(found)}", sum(map(size_of, (path for _, path in found)))):
            uploaded = [self._upload(label, path, kind, follow_symlinks=follow_symlinks) for label, path in found]
        return uploaded[0] if isinstance(paths, str | os.PathLike) and not recursive else uploaded

    def _upload(self, name: str, path: Path, file_type: FileType, *, follow_symlinks: bool) -> Artifact:
        with open_steady(path, follow_symlinks=follow_symlinks) as file:
            query = ArtifactUploadQuery(
                name=checked_artifact_name(name), file_type=file_type, media_type=_media_type(name), size_bytes=file.size_bytes
            )
            record = upload_now(self._session, self._id, query, file)
            if record is not None:
                return Artifact(self._session, record)
            digests = digests_of(file)
            query = msgspec.structs.replace(query, sha256=digests.sha256, md5=digests.md5)
            artifact = Artifact(self._session, provisional(self._id, query))
            upload_later(self._session, self._id, query, file, path, artifact.hear)
            return artifact

    def track_artifacts(
        self,
        paths: PathLike | Sequence[PathLike],
        name: str | None = None,
        *,
        recursive: bool = False,
        follow_symlinks: bool = False,
        file_type: FileType | str = FileType.UNDEFINED,
    ) -> list[Artifact]:
        """Keep references to files that stay where they are: local paths (their digests are kept too) or URIs such as ``s3://…``.

        Parameters are those of :meth:`upload_artifact`. Nobody but you ever opens the paths. Never waits for the store.
        """
        kind = _file_type(file_type)
        listed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        files: list[TrackedFile] = []
        for path in listed:
            if _URI.match(text := os.fspath(path)):
                label = checked_artifact_name(name if name and len(listed) == 1 else text.rstrip("/").rpartition("/")[2])
                files.append(TrackedFile(name=label, uri=text, file_type=kind, media_type=_media_type(label)))
                continue
            label_of_one = name if len(listed) == 1 else None
            for label, local in _named_files(path, label_of_one, recursive=recursive, follow_symlinks=follow_symlinks):
                with open_steady(local, follow_symlinks=follow_symlinks) as file:
                    digests = digests_of(file)
                files.append(
                    TrackedFile(
                        name=checked_artifact_name(label),
                        uri=str(local.absolute()),
                        file_type=kind,
                        md5=digests.md5,
                        sha256=digests.sha256,
                        size_bytes=digests.size_bytes,
                        media_type=_media_type(label),
                    )
                )
        checked_count(files, MAX_TRACKED_FILES, "files", field="files")
        artifacts = [Artifact(self._session, provisional(self._id, file)) for file in files]

        def hear(page: Page[ArtifactRecord]) -> None:
            for artifact, record in zip(artifacts, page.items, strict=False):
                artifact.hear(record)

        self._session.submit(operation(routes.TRACK_ARTIFACTS, path={"object_id": self._id}, body=TrackArtifacts(files=files)), hear)
        return artifacts

    @property
    def artifacts(self) -> list[Artifact]:
        """Artifacts by name."""
        records = self._session.every(routes.LIST_ARTIFACTS, ArtifactsQuery(), path={"object_id": self._id})
        return [Artifact(self._session, record) for record in records]

    def artifact(self, id_or_name: str) -> Artifact:
        """Return one artifact by its id or name; the newest one of that name.

        Raises
        ------
        NotFound
            There is none; the message says which there are.
        """
        known = self.artifacts
        fitting = [artifact for artifact in known if id_or_name in {artifact.id, artifact.name}]
        if not fitting:
            raise NotFound.among("artifact", id_or_name, {artifact.name for artifact in known})
        return max(fitting, key=lambda artifact: artifact.record.created_at)

    def download_artifact(self, id_or_name: str, path: PathLike | None = None, *, overwrite: bool = False) -> Path:
        """Save an artifact, verified, as `path` or below that folder, and return the path of the file.

        The name of a folder that was uploaded saves all files of it below `path`, and returns that folder. See :meth:`Artifact.download`.
        """
        try:
            return self.artifact(id_or_name).download(path, overwrite=overwrite)
        except NotFound:
            newest = {artifact.name: artifact for artifact in sorted(self.artifacts, key=lambda artifact: artifact.record.created_at)}
            below = [artifact for name, artifact in newest.items() if name.startswith(f"{id_or_name}/")]
            if not below:
                raise
        folder = Path.cwd() if path is None else Path(path).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        with progress.task(f"Downloading {id_or_name}", sum(artifact.size_bytes or 0 for artifact in below)):
            for artifact in below:
                artifact.download(folder, overwrite=overwrite)
        return folder / id_or_name


def _named_files(
    paths: PathLike | Iterable[PathLike], name: str | None, *, recursive: bool, follow_symlinks: bool
) -> Iterator[tuple[str, Path]]:
    listed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if name is not None and len(listed) != 1:
        raise InvalidRequest(f"One name cannot stand for {len(listed)} paths: leave it out, or upload them one by one.", field="name")
    for item in listed:
        path = Path(item).expanduser()
        label = name or path.name or path.resolve().name
        if recursive and path.is_dir() and (follow_symlinks or not path.is_symlink()):
            yield from ((f"{label}/{below}", file) for below, file in files_below(path, follow_symlinks=follow_symlinks))
        else:
            yield label, path


def _counted(found: Sequence[tuple[str, Path]]) -> str:
    return found[0][0] if len(found) == 1 else f"{len(found)} files"


def _file_type(value: FileType | str) -> FileType:
    try:
        return FileType(value)
    except ValueError:
        raise InvalidRequest(f"There is no file type {shortened(value)}: take one of {', '.join(FileType)}.", field="file_type") from None


def _media_type(name: str) -> str:
    return mimetypes.guess_type(name, strict=False)[0] or "application/octet-stream"
