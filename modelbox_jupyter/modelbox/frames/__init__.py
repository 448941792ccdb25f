"""Everything that is stored as pandas DataFrames; the only part of the client that imports pandas.

:mod:`~modelbox.frames.runs` has experiments, :mod:`~modelbox.frames.points` the points of their metrics, and
:mod:`~modelbox.frames.objects` models; each says which columns its tables have.
"""

from modelbox.frames.objects import model_table, models
from modelbox.frames.points import metrics, point_table
from modelbox.frames.runs import experiment_table, experiments, with_long_metadata

__all__ = ["experiment_table", "experiments", "metrics", "model_table", "models", "point_table", "with_long_metadata"]
