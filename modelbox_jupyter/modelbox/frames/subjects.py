"""Which runs a call is about, and where a frame comes from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from modelbox.client.tracked import TrackedObject
from modelbox.errors import InvalidRequest, shortened

if TYPE_CHECKING:
    from modelbox.client.discovery import Where

__all__ = ["Subjects", "ids_of", "origin"]

Subjects: TypeAlias = "pd.DataFrame | TrackedObject | str | Iterable[TrackedObject | str]"
"""A table of runs, or experiments and other objects, or their ids."""


def ids_of(runs: Subjects) -> list[str]:
    """Return the ids of what `runs` stands for, each once."""
    if isinstance(runs, pd.DataFrame):
        if "experiment_id" not in runs.columns:
            names = ", ".join(map(str, runs.columns[:10]))
            raise InvalidRequest(
                f"The table has no column 'experiment_id': take one from modelbox.experiments(). It has: {names or 'none'}."
            )
        return list(dict.fromkeys(runs["experiment_id"].astype(str)))
    if isinstance(runs, str):
        return [runs]
    if isinstance(runs, TrackedObject):
        return [runs.id]
    if not isinstance(runs, Iterable):
        raise InvalidRequest(f"runs is {type(runs).__name__} {shortened(runs, 40)}: give a table of runs, experiments or ids.")
    return list(dict.fromkeys(run if isinstance(run, str) else run.id for run in runs))


def origin(where: Where | None) -> dict[str, object]:
    """Return what ``df.attrs["modelbox"]`` says of where a table comes from; no secrets."""
    return {} if where is None else {"kind": where.kind, "address": where.address}
