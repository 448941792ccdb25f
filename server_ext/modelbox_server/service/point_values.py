"""Values of single points, for queries about ``metrics.KEY.first`` and ``metrics.KEY.at(step)``.

Summaries do not have them. Of the series of experiments that nothing else has decided, the points at one step each are read.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import cast

from modelbox.entities.series import SeriesSummary, ValueKind
from modelbox.wire.query.ast import MetricField
from modelbox.wire.query.evaluate import Absent, Facts, value_of
from modelbox_server.storage.interfaces import MetricsStore

__all__ = ["point_values"]


def point_values(
    metrics: MetricsStore, candidates: Sequence[Facts], fields: Sequence[MetricField]
) -> dict[str, dict[MetricField, float | str]]:
    """Return the values of the fields that have one, by the id of the experiment; summaries have been looked up before."""
    found: dict[str, dict[MetricField, float | str]] = {facts.record.id: {} for facts in candidates}
    for field in fields:
        for step, kinds in _steps(candidates, field).items():
            for block in metrics.read(list(kinds), [field.key], steps=(step, step)):
                if block.kind is kinds[block.object_id]:
                    values = cast(Sequence[float | str], block.values)
                    # Of several points at one step the first is first, and the last is the one that counts there.
                    value = values[0 if field.statistic == "first" else -1]
                    found[block.object_id][field] = value if isinstance(value, str) else float(value)
    return found


def _steps(candidates: Sequence[Facts], field: MetricField) -> dict[int, dict[str, ValueKind]]:
    """Return at which steps to look, and there into which series: of which object and kind."""
    steps: defaultdict[int, dict[str, ValueKind]] = defaultdict(dict)
    for facts in candidates:
        summary: SeriesSummary | None = (facts.series or {}).get(field.key)
        if summary is not None and summary.kind is not ValueKind.BYTES and value_of(field, facts, 0) is Absent.UNKNOWN:
            steps[summary.first_step if field.step is None else field.step][facts.record.id] = summary.kind
    return steps
