"""Which runs a call is about, and where a frame comes from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from modelbox.client.tracked import TrackedObject
from modelbox.errors import InvalidRequest, shortened

if TYPE_CHECKING:
    from modelbox.client.discovery import Where

__all__ = ["Subjects", "checked_format", "hosts_of", "ids_of", "origin"]

Subjects: TypeAlias = "pd.DataFrame | TrackedObject | str | Iterable[TrackedObject | str]"
"""A table of runs, or experiments and other objects, or their ids."""

_ID_COLUMNS = frozenset({"experiment_id", "checkpoint_id", "model_id", "version_id"})


def ids_of(subjects: Subjects, column: str = "experiment_id") -> list[str]:
    """Return the ids of what `subjects` stands for, each once; those in `column` of a table."""
    if isinstance(subjects, pd.DataFrame):
        if column not in subjects.columns:
            source = "models" if column == "model_id" else "experiments"
            names = ", ".join(map(str, subjects.columns[:10]))
            raise InvalidRequest(f"The table has no column {column!r}: take one from modelbox.{source}(). It has: {names or 'none'}.")
        return list(dict.fromkeys(subjects[column].astype(str)))
    if isinstance(subjects, str):
        return [subjects]
    if isinstance(subjects, TrackedObject):
        return [subjects.id]
    if not isinstance(subjects, Iterable):
        raise InvalidRequest(
            f"{type(subjects).__name__} {shortened(subjects, 40)} is no table of runs or other objects, and neither objects nor ids."
        )
    return list(dict.fromkeys(item if isinstance(item, str) else item.id for item in subjects))


def hosts_of(subjects: Subjects) -> list[str]:
    """Return the ids of objects of any kind that `subjects` stands for; a table's own id is the first of its columns with ids."""
    own = None
    if isinstance(subjects, pd.DataFrame):
        own = next((column for column in subjects.columns if column in _ID_COLUMNS), None)
    return ids_of(subjects, own or "experiment_id")


def checked_format(format_: str) -> str:
    """Return the name of a format of tables, or say which there are."""
    if format_ not in {"pandas", "arrow"}:
        raise InvalidRequest(f"format is {shortened(format_, 40)}: take 'pandas' or 'arrow'.", field="format")
    return format_


def origin(where: Where | None) -> dict[str, object]:
    """Return what ``df.attrs["modelbox"]`` says of where a table comes from; no secrets."""
    return {} if where is None else {"kind": where.kind, "address": where.address}
