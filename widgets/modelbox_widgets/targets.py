"""Which objects of which store a widget is about."""

from collections.abc import Iterable

import pandas as pd

from modelbox.client.connection import ModelBox
from modelbox.client.experiment import Experiment
from modelbox.client.shared import default_connection
from modelbox.client.tracked import TrackedObject
from modelbox.errors import InvalidRequest, NotFound
from modelbox.frames.subjects import Subjects, ids_of

__all__ = ["experiments_of"]


def experiments_of(runs: Subjects, connection: ModelBox | None, *, limit: int) -> tuple[list[Experiment], int]:
    """Return the experiments that `runs` stands for, at most `limit` of them, and how many there are.

    Parameters
    ----------
    runs
        A table of runs, or experiments, or ids.
    connection
        Where to look for ids; the shared connection when left out. Experiments bring their own.
    limit
        How many the widget can show: the first ones.

    Raises
    ------
    InvalidRequest
        There are none, or they are of several stores.
    NotFound
        There is no experiment of one of the ids.
    """
    if isinstance(runs, TrackedObject):
        runs = [runs]
    elif isinstance(runs, Iterable) and not isinstance(runs, str | pd.DataFrame):
        runs = list(runs)  # an iterator can be walked once
    known = {run.id: run for run in runs if isinstance(run, Experiment)} if isinstance(runs, list) else {}
    ids = ids_of(runs)
    if not ids:
        raise InvalidRequest("There are no runs to show: give experiments, their ids, or a table of modelbox.experiments().")
    if len({run.session for run in known.values()}) > 1:
        raise InvalidRequest("The runs are of several stores: show those of one store at a time.")
    shown = ids[:limit]
    missing = [one for one in shown if one not in known]
    if missing:
        box = connection or default_connection()
        known |= {run.id: run for run in box.experiments(ids=missing)}
        gone = next((one for one in missing if one not in known), None)
        if gone is not None:
            raise NotFound(f"There is no experiment {gone}: it was deleted, or it is in another store than {box.where.address}.")
    return [known[one] for one in shown], len(ids)
