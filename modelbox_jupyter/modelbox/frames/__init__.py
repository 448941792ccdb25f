"""Everything that is stored as pandas DataFrames; the only part of the client that imports pandas.

:mod:`~modelbox.frames.runs` has experiments, :mod:`~modelbox.frames.points` the points of their metrics, :mod:`~modelbox.frames.objects`
models, versions, checkpoints, artifacts, events and changes, and :mod:`~modelbox.frames.sql_tables` whatever SQL selects; each says which
columns its tables have.
"""

from modelbox.frames.objects import artifacts, audit, checkpoints, events, model_table, model_versions, models
from modelbox.frames.points import metrics, point_table
from modelbox.frames.runs import experiment_table, experiments, with_long_metadata
from modelbox.frames.sql_tables import sql, views

__all__ = [
    "artifacts",
    "audit",
    "checkpoints",
    "events",
    "experiment_table",
    "experiments",
    "metrics",
    "model_table",
    "model_versions",
    "models",
    "point_table",
    "sql",
    "views",
    "with_long_metadata",
]
