"""What ``df.modelbox`` reads from the store beside points, and what it does to the runs there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from modelbox import frames
from modelbox.client.experiment_queries import joined_frames
from modelbox.client.shared import default_connection
from modelbox.client.tracked import TrackedObject
from modelbox.errors import InvalidRequest, NotFound
from modelbox.frames.runs import experiment_table
from modelbox.frames.subjects import ids_of
from modelbox_widgets.time_use import MOMENT_COLUMNS

if TYPE_CHECKING:
    from modelbox.client.connection import ModelBox

__all__ = ["deleted", "moments", "refreshed", "tagged"]

# They travel in the address, and proxies take only so long ones.
_IDS_PER_REQUEST = 150


def refreshed(runs: pd.DataFrame, *, connection: ModelBox | None = None) -> pd.DataFrame:
    """Return the runs of a frame as the store has them now, in the same order; those that are gone are left out."""
    box = connection or default_connection()
    ids = ids_of(runs)
    if not ids:
        return runs.copy()
    pages = [box.experiment_frame(ids=ids[begin : begin + _IDS_PER_REQUEST]) for begin in range(0, len(ids), _IDS_PER_REQUEST)]
    table = experiment_table(joined_frames(pages), box.where)
    place = {run_id: at for at, run_id in enumerate(ids)}
    ordered = table.sort_values("experiment_id", key=lambda column: column.map(place), kind="stable", ignore_index=True)
    ordered.attrs = dict(table.attrs)
    return ordered


def tagged(runs: pd.DataFrame, names: tuple[str, ...], *, connection: ModelBox | None = None) -> pd.DataFrame:
    """Add tags to every run of a frame, and return the runs as the store has them then."""
    if not names:
        raise InvalidRequest("tag() needs the name of a tag, such as runs.modelbox.tag('baseline').")
    box = connection or default_connection()
    for run_id in ids_of(runs):
        TrackedObject(box.session, run_id).update_metadata({f"tags.{name}": True for name in names})
    return refreshed(runs, connection=box)


def deleted(runs: pd.DataFrame, *, connection: ModelBox | None = None) -> int:
    """Delete every run of a frame with everything that hangs on it, and return how many there were; those already gone do not count."""
    box = connection or default_connection()
    count = 0
    for run_id in ids_of(runs):
        try:
            box.experiment(run_id).delete()
        except NotFound:
            continue
        count += 1
    return count


def moments(runs: pd.DataFrame, *, connection: ModelBox | None = None) -> pd.DataFrame:
    """Return the events and checkpoints of runs, the columns of :data:`modelbox_widgets.time_use.MOMENT_COLUMNS`, by time."""
    ids = ids_of(runs)
    happened = frames.events(ids, connection=connection).rename(columns={"object_id": "experiment_id"}).assign(kind="event")
    kept = frames.checkpoints(ids, connection=connection).rename(columns={"created_at": "wall_time"}).assign(kind="checkpoint", source="")
    kept["name"] = [f"epoch {epoch}" for epoch in kept["epoch"]]
    together = pd.concat([part[list(MOMENT_COLUMNS)] for part in (happened, kept)], ignore_index=True)
    return together.sort_values("wall_time", kind="stable", ignore_index=True)
