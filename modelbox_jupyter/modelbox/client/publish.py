"""Bringing what one store has to another: ``modelbox.sync("local", to="shared")``.

Only what the other store lacks is sent, so that it may be repeated at any time, also after it broke off, and a repeated call does nothing.
Experiments keep their ids, and so do checkpoints and events; models are known by their names.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from modelbox.entities.names import DEFAULT_NAMESPACE
from modelbox.entities.records import ArtifactRecord, ArtifactStorage, EventRecord, ExperimentRecord, ModelRecord, Status
from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.errors import NotFound, TagTaken
from modelbox.wire import messages as m
from modelbox.wire import routes

if TYPE_CHECKING:
    from modelbox.client.session import Session
    from modelbox.client.transport import Content
    from modelbox.wire.access import AccessShown

__all__ = ["PublishReport", "publish"]

_BATCH_POINTS = 500_000
_WRITES = frozenset({"writer", "admin"})


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What another store has now that it had not before.

    Parameters
    ----------
    experiments, models, versions, checkpoints, events, files, points
        How many of each were sent.
    """

    experiments: int = 0
    models: int = 0
    versions: int = 0
    checkpoints: int = 0
    events: int = 0
    files: int = 0
    points: int = 0

    def __str__(self) -> str:
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        sent = [f"{count} {name if count > 1 else name.removesuffix('s')}" for name, count in counts.items() if count]
        return f"{', '.join(sent)} sent" if sent else "nothing to send"


def publish(source: Session, target: Session, *, query: str | None = None) -> PublishReport:
    """Send what `source` has and `target` lacks.

    Parameters
    ----------
    query
        Which experiments, in the query language; all of them, and all models, when left out.

    Raises
    ------
    ModelBoxError
        As either store raises it. What was sent until then stays, and the next call goes on from there.
    """
    return _Publication(source, target).carry_out(query)


class _Publication:
    def __init__(self, source: Session, target: Session) -> None:
        self._source, self._target = source, target
        self._access: AccessShown = target.call(routes.ACCESS)
        self._sent: Counter[str] = Counter()

    def carry_out(self, query: str | None) -> PublishReport:
        asked = m.ExperimentsQuery(q=query)
        # Oldest first: whatever an experiment is the child of is there before it.
        for experiment in sorted(self._source.every(routes.LIST_EXPERIMENTS, asked), key=lambda one: one.created_at):
            self._experiment(experiment)
        if query is None:
            for model in self._source.every(routes.LIST_MODELS, m.ModelsQuery()):
                self._model(model)
        return PublishReport(**self._sent)

    def _namespace(self, path: str) -> str:
        """Return where something belongs: where it was, if we may write there, else below our home."""
        roles, home = self._access.roles, self._access.home
        if path == DEFAULT_NAMESPACE or not home:
            return home or path
        may_write = any(role in _WRITES and f"{path}/".startswith("/" if place == "/" else f"{place}/") for place, role in roles.items())
        return path if may_write or "/" in roles else f"{home}/{path.removeprefix('~')}"

    # --- objects -------------------------------------------------------------------------------------------------------------------------

    def _experiment(self, here: ExperimentRecord) -> None:
        there = self._find(here.id)
        parent = here.parent_id if here.parent_id is not None and self._find(here.parent_id) is not None else None
        if there is None:
            body = m.ExperimentCreate(
                name=here.name,
                id=here.id,
                namespace=self._namespace(here.namespace),
                framework=here.framework,
                external_id=here.external_id,
                group=here.group,
                parent_id=parent,
                started_at=here.started_at,
            )
            there = self._target.call(routes.CREATE_EXPERIMENT, body=body).item
            self._sent["experiments"] += 1
        checkpoints = list(self._source.every(routes.LIST_CHECKPOINTS, m.PageQuery(), path={"experiment_id": here.id}))
        known = {one.epoch: one.id for one in self._target.every(routes.LIST_CHECKPOINTS, m.PageQuery(), path={"experiment_id": here.id})}
        for checkpoint in checkpoints:
            if checkpoint.epoch not in known:
                state = m.CheckpointCreate(epoch=checkpoint.epoch, metrics=cast("dict[str, Any]", checkpoint.metrics))
                made = self._target.call(routes.CREATE_CHECKPOINT, path={"experiment_id": here.id}, body=state).item
                known[checkpoint.epoch] = made.id
                self._sent["checkpoints"] += 1
        self._attachments({here.id: here.id, **{one.id: known[one.epoch] for one in checkpoints}})
        if here.status is not Status.RUNNING and there.status is not here.status:
            self._update(here.id, m.ExperimentUpdate(status=here.status, finished_at=here.finished_at))
        if parent is not None and there.parent_id is None:  # it came later, as somebody chose experiments by a query
            self._update(here.id, m.ExperimentUpdate(parent_id=parent))

    def _update(self, experiment_id: str, changes: m.ExperimentUpdate) -> None:
        self._target.call(routes.UPDATE_EXPERIMENT, path={"experiment_id": experiment_id}, body=changes)

    def _find(self, experiment_id: str) -> ExperimentRecord | None:
        try:
            return self._target.call(routes.GET_EXPERIMENT, path={"experiment_id": experiment_id})
        except NotFound:
            return None

    def _model(self, here: ModelRecord) -> None:
        body = m.ModelCreate(name=here.name, namespace=self._namespace(here.namespace), task=here.task, description=here.description)
        created = self._target.call(routes.CREATE_MODEL, body=body)
        self._sent["models"] += not created.exists
        pairs = {here.id: created.item.id}
        known = {
            (one.version, one.name): one.id
            for one in self._target.every(routes.LIST_MODEL_VERSIONS, m.PageQuery(), path={"model_id": created.item.id})
        }
        for version in self._source.every(routes.LIST_MODEL_VERSIONS, m.PageQuery(), path={"model_id": here.id}):
            identity = (version.version, version.name)
            if identity not in known:
                trained_by = version.experiment_id if version.experiment_id and self._find(version.experiment_id) is not None else None
                request = m.ModelVersionCreate(
                    version=version.version,
                    name=version.name,
                    description=version.description,
                    framework=version.framework,
                    tags=version.tags,
                    experiment_id=trained_by,
                )
                known[identity] = self._version(created.item.id, request)
                self._sent["versions"] += 1
            pairs[version.id] = known[identity]
        self._attachments(pairs)

    def _version(self, model_id: str, request: m.ModelVersionCreate) -> str:
        path = {"model_id": model_id}
        try:
            return self._target.call(routes.CREATE_MODEL_VERSION, path=path, body=request).item.id
        except TagTaken:  # the tags of another store are its own business
            untagged = m.ModelVersionCreate(
                version=request.version,
                name=request.name,
                description=request.description,
                framework=request.framework,
                experiment_id=request.experiment_id,
            )
            return self._target.call(routes.CREATE_MODEL_VERSION, path=path, body=untagged).item.id

    # --- what hangs on them --------------------------------------------------------------------------------------------------------------

    def _attachments(self, pairs: dict[str, str]) -> None:
        """Send what hangs on objects, from their ids here to their ids there."""
        for here, there in pairs.items():
            self._metadata(here, there)
            self._events(here, there)
            self._artifacts(here, there)
        self._points(pairs)

    def _metadata(self, here: str, there: str) -> None:
        wanted, known = (
            session.call(routes.GET_METADATA, path={"object_id": object_id}).metadata
            for session, object_id in ((self._source, here), (self._target, there))
        )
        lacking = {key: value for key, value in wanted.items() if key not in known or known[key] != value}
        if lacking:
            self._target.call(routes.UPDATE_METADATA, path={"object_id": there}, body=m.MetadataDocument(metadata=lacking))

    def _events(self, here: str, there: str) -> None:
        known = {event.id for event in self._target.every(routes.LIST_EVENTS, m.EventsQuery(), path={"object_id": there})}
        for event in cast("Iterable[EventRecord]", self._source.every(routes.LIST_EVENTS, m.EventsQuery(), path={"object_id": here})):
            if event.id not in known:
                body = m.EventCreate(name=event.name, source=event.source, wall_time=event.wall_time, metadata=event.metadata, id=event.id)
                self._target.call(routes.LOG_EVENT, path={"object_id": there}, body=body)
                self._sent["events"] += 1

    def _artifacts(self, here: str, there: str) -> None:
        known = {_identity(one) for one in self._target.every(routes.LIST_ARTIFACTS, m.ArtifactsQuery(), path={"object_id": there})}
        for artifact in self._source.every(routes.LIST_ARTIFACTS, m.ArtifactsQuery(), path={"object_id": here}):
            if _identity(artifact) in known:
                continue
            if artifact.storage is ArtifactStorage.UPLOADED:
                self._upload(artifact, there)
            else:
                file = m.TrackedFile(
                    name=artifact.name,
                    uri=artifact.uri,
                    file_type=artifact.file_type,
                    md5=artifact.md5,
                    sha256=artifact.sha256,
                    size_bytes=artifact.size_bytes,
                    media_type=artifact.media_type,
                )
                self._target.call(routes.TRACK_ARTIFACTS, path={"object_id": there}, body=m.TrackArtifacts(files=[file]))
            self._sent["files"] += 1

    def _upload(self, artifact: ArtifactRecord, there: str) -> None:
        query = m.ArtifactUploadQuery(
            name=artifact.name,
            file_type=artifact.file_type,
            media_type=artifact.media_type,
            sha256=artifact.sha256,
            size_bytes=artifact.size_bytes,
        )
        with tempfile.TemporaryFile() as copy:
            for piece in self._source.transport.download(artifact.id):
                copy.write(piece)
            copy.seek(0)
            self._target.transport.upload(there, query, cast("Content", copy))

    def _points(self, pairs: dict[str, str]) -> None:
        wanted, known = _counts(self._source, pairs), _counts(self._target, pairs.values())
        for here, there in pairs.items():
            lacking = [key for (of, key), count in wanted.items() if of == here and count > known.get((there, key), 0)]
            if not lacking:
                continue
            blocks = self._source.transport.read_metrics(m.MetricsQuery(objects=[here], keys=lacking))
            begun = m.MetricsQuery(objects=[there], keys=[key for key in lacking if (there, key) in known])
            before = {block.key: block for block in self._target.transport.read_metrics(begun)}
            for part in _batches(_lacking(replace(block, object_id=there), before.get(block.key)) for block in blocks):
                # The same points twice, by calls at the same time, are one batch.
                result = self._target.transport.append_metrics(part, client=f"sync {there}", batch=_number(part))
                self._sent["points"] += 0 if result.duplicate else result.points


def _counts(session: Session, object_ids: Iterable[str]) -> dict[tuple[str, str], int]:
    summaries = session.call(routes.SUMMARIZE_METRICS, body=m.SummariesQuery(objects=list(object_ids)))
    return {(one.object_id, one.key): one.count for one in summaries.series}


def _identity(artifact: ArtifactRecord) -> tuple[str, str, str]:
    return artifact.name, artifact.sha256, artifact.uri


def _lacking(block: SeriesBlock, before: SeriesBlock | None) -> SeriesBlock:
    """Return the points of a series that are not among those from before; both may have the same point several times."""
    if before is None:
        return block
    known = Counter(_rows(before))
    picks: list[int] = []
    for number, row in enumerate(_rows(block)):
        if known[row]:
            known[row] -= 1
        else:
            picks.append(number)
    return _picked(block, picks)


def _rows(block: SeriesBlock) -> Iterator[tuple[int, int, object]]:
    # NaN is not equal to itself, but its bits are.
    values: Any = _numbers(block.values, np.int64).tolist() if block.kind is ValueKind.FLOAT else block.values
    return zip(_numbers(block.steps, np.int64).tolist(), _numbers(block.wall_times_us, np.int64).tolist(), values, strict=True)


def _numbers(column: object, kind: type[np.int64 | np.float64]) -> Any:
    return np.frombuffer(memoryview(cast(bytes, column)).cast("B"), dtype=kind)


def _picked(block: SeriesBlock, picks: list[int] | slice) -> SeriesBlock:
    if block.kind is ValueKind.FLOAT:
        values: Any = np.ascontiguousarray(_numbers(block.values, np.float64)[picks])
    else:
        texts: Any = block.values
        values = texts[picks] if isinstance(picks, slice) else [texts[number] for number in picks]
    steps, times = (np.ascontiguousarray(_numbers(column, np.int64)[picks]) for column in (block.steps, block.wall_times_us))
    return replace(block, steps=cast(Any, steps), wall_times_us=cast(Any, times), values=values)


def _batches(blocks: Iterable[SeriesBlock]) -> Iterator[list[SeriesBlock]]:
    """Yield series together, as many points at once as a store takes."""
    part: list[SeriesBlock] = []
    size = 0
    for block in blocks:
        for start in range(0, len(block), _BATCH_POINTS):
            piece = block if len(block) <= _BATCH_POINTS else _picked(block, slice(start, start + _BATCH_POINTS))
            if part and size + len(piece) > _BATCH_POINTS:
                yield part
                part, size = [], 0
            part.append(piece)
            size += len(piece)
    if part:
        yield part


def _number(part: Sequence[SeriesBlock]) -> int:
    """Return a number that stands for the content of a batch."""
    digest = hashlib.sha256()
    for block in part:
        digest.update(f"{block.key}\0{block.kind}\0{len(block)}\0".encode())
        for row in _rows(block):
            digest.update(repr(row).encode())
    return int.from_bytes(digest.digest()[:8]) >> 1
