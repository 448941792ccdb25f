"""Models, versions, checkpoints, artifacts, events and changes as DataFrames.

Their columns, in this order, are those of the SQL view of the same name, which :func:`modelbox.views` explains: text is ``str``, times are
aware UTC, numbers ``int64`` (``Int64`` where one may be missing), and what has parts, such as tags and metadata, is an object as it was
logged.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pandas as pd

from modelbox.client.shared import default_connection
from modelbox.entities.records import (
    ArtifactRecord,
    ChangeEvent,
    CheckpointRecord,
    EventRecord,
    ModelRecord,
    ModelVersionRecord,
    Record,
)
from modelbox.entities.values import json_from_wire
from modelbox.frames.columns import objects_column, text_column, times_column
from modelbox.frames.subjects import hosts_of, ids_of, origin
from modelbox.wire import routes
from modelbox.wire.messages import OfObjectsQuery
from modelbox.wire.views import VIEWS

if TYPE_CHECKING:
    from modelbox.client.connection import ModelBox
    from modelbox.frames.subjects import Subjects
    from modelbox.wire.messages import Page
    from modelbox.wire.routes import Route

__all__ = ["artifacts", "audit", "checkpoints", "events", "model_table", "model_versions", "models"]

# They travel in the address, and proxies take only so long ones.
_IDS_PER_REQUEST = 150


def models(*, namespace: str | None = None, name: str | None = None, connection: ModelBox | None = None) -> pd.DataFrame:
    """Return models as a DataFrame, one row each, newest first.

    Parameters
    ----------
    namespace, name
        Only those in this namespace or below it, and of this name.
    connection
        Where to look; the shared connection when left out.

    Returns
    -------
    pandas.DataFrame
        ``model_id``, ``name``, ``namespace``, ``owner``, ``task``, ``description`` (text), ``created_at``, ``updated_at`` (aware UTC).
    """
    box = connection or default_connection()
    return _from(box, model_table([model.record for model in box.models(namespace, name=name)]))


def model_table(records: Sequence[ModelRecord]) -> pd.DataFrame:
    """Return models as a table; see :func:`models`."""
    return _record_table("models", ModelRecord, records)


def model_versions(models: Subjects | None = None, *, connection: ModelBox | None = None) -> pd.DataFrame:
    """Return versions of models as a DataFrame, one row each, newest first.

    Parameters
    ----------
    models
        A table of models, or models, or their ids; those of every model when left out.
    connection
        Where to look; the shared connection when left out.

    Examples
    --------
    >>> import modelbox, modelbox.testing
    >>> with modelbox.testing.memory_connection() as box:
    ...     made = box.new_model("reader").new_model_version("1", unique_tags=["candidate"])
    ...     modelbox.model_versions(modelbox.models(connection=box), connection=box)[["version", "tags"]]
      version         tags
    0       1  [candidate]
    """
    box = connection or default_connection()
    found = _found(box, routes.FIND_MODEL_VERSIONS, None if models is None else ids_of(models, "model_id"))
    found.sort(key=lambda record: (record.created_at, record.id), reverse=True)
    return _from(box, _record_table("model_versions", ModelVersionRecord, found))


def checkpoints(runs: Subjects | None = None, *, connection: ModelBox | None = None) -> pd.DataFrame:
    """Return checkpoints as a DataFrame, one row each, by experiment and epoch.

    Parameters
    ----------
    runs
        A table of runs, or experiments, or their ids; those of every experiment when left out.
    connection
        Where to look; the shared connection when left out.
    """
    box = connection or default_connection()
    found = _found(box, routes.FIND_CHECKPOINTS, None if runs is None else ids_of(runs))
    found.sort(key=lambda record: (record.experiment_id, record.epoch))
    return _from(box, _record_table("checkpoints", CheckpointRecord, found))


def artifacts(objects: Subjects | None = None, *, connection: ModelBox | None = None) -> pd.DataFrame:
    """Return artifacts as a DataFrame, one row per file, by object and name.

    Parameters
    ----------
    objects
        A table of runs, checkpoints, models or versions, or such objects, or their ids; those of every object when left out.
    connection
        Where to look; the shared connection when left out.
    """
    box = connection or default_connection()
    found = _found(box, routes.FIND_ARTIFACTS, None if objects is None else hosts_of(objects))
    found.sort(key=lambda record: (record.parent_id, record.name))
    return _from(box, _record_table("artifacts", ArtifactRecord, found))


def events(objects: Subjects | None = None, *, connection: ModelBox | None = None) -> pd.DataFrame:
    """Return events as a DataFrame, one row each, oldest first by their wall clock.

    Parameters
    ----------
    objects
        A table of runs, checkpoints, models or versions, or such objects, or their ids; those of every object when left out.
    connection
        Where to look; the shared connection when left out.

    Examples
    --------
    >>> import modelbox, modelbox.testing
    >>> with modelbox.testing.memory_connection() as box:
    ...     with box.start("digits") as run:
    ...         logged = run.log_event("epoch", source="trainer", metadata={"number": 1})
    ...     modelbox.events(connection=box)[["name", "source", "metadata"]]
        name   source       metadata
    0  epoch  trainer  {'number': 1}
    """
    box = connection or default_connection()
    found = _found(box, routes.FIND_EVENTS, None if objects is None else hosts_of(objects))
    found.sort(key=lambda record: (record.wall_time, record.created_at, record.id))
    return _from(box, _record_table("events", EventRecord, found))


def audit(
    of: Subjects | None = None,
    *,
    namespace: str | None = None,
    after: int = 0,
    limit: int | None = None,
    connection: ModelBox | None = None,
) -> pd.DataFrame:
    """Return the audit log as a DataFrame: who created, updated, deleted, uploaded or downloaded what, and when; in order.

    Parameters
    ----------
    of
        Only what happened to these objects, and to what hangs on them: a table, objects, or ids. They may be gone.
    namespace
        Only what happened in this namespace or below it.
    after
        Only what comes after this ``seq``.
    limit
        At most so many.
    connection
        Where to look; the shared connection when left out.

    Examples
    --------
    >>> import modelbox, modelbox.testing
    >>> with modelbox.testing.memory_connection() as box:
    ...     with box.start("digits") as run:
    ...         pass
    ...     modelbox.audit(run, connection=box)["kind"].tolist()
    ['created', 'updated']
    """
    box = connection or default_connection()
    if of is None:
        return _from(box, _record_table("changes", ChangeEvent, box.changes(namespace=namespace, after=after, limit=limit)))
    found = {
        change.seq: change
        for object_id in hosts_of(of)
        for change in box.changes(namespace=namespace, object_id=object_id, after=after, limit=limit)
    }
    return _from(box, _record_table("changes", ChangeEvent, [found[seq] for seq in sorted(found)][:limit]))


# --- records as tables -------------------------------------------------------------------------------------------------------------------


def _found(box: ModelBox, route: Route[OfObjectsQuery, None, Page[Any]], ids: Sequence[str] | None) -> list[Any]:
    if ids is None:
        return list(box.session.every(route, OfObjectsQuery()))
    parts = [",".join(ids[begin : begin + _IDS_PER_REQUEST]) for begin in range(0, len(ids), _IDS_PER_REQUEST)]
    return [record for part in parts for record in box.session.every(route, OfObjectsQuery(objects=part))]


def _record_table(view: str, kind: type[Record], records: Sequence[Record]) -> pd.DataFrame:
    """Return records as a table with the columns of a view."""
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    columns: dict[str, object] = {}
    for column in VIEWS[view].columns:
        field = column if column in types else "parent_id" if column == "object_id" else "id"
        columns[column] = _column(types[field], [getattr(record, field) for record in records])
    return pd.DataFrame(columns)


def _column(type_: Any, values: list[Any]) -> object:
    plain = set(get_args(type_) or (type_,)) - {type(None)}
    if plain == {datetime}:
        return times_column(values)
    if plain == {int}:
        return pd.array(values, dtype="int64" if type_ is int else "Int64")
    if plain == {str} or any(isinstance(part, type) and issubclass(part, StrEnum) for part in plain):
        return text_column([None if value is None else str(value) for value in values])
    return objects_column([_plain(value) for value in values])


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else {key: json_from_wire(item) for key, item in value.items()}


def _from(box: ModelBox, table: pd.DataFrame) -> pd.DataFrame:
    table.attrs["modelbox"] = origin(box.where)
    return table
