"""Experiments with everything that a table of runs shows, as columns: one answer instead of one request per run."""

from collections.abc import Sequence

from modelbox.entities.own_keys import LONG_METADATA
from modelbox.entities.records import MetadataEntry
from modelbox.entities.series import SeriesSummary
from modelbox.wire.messages import ExperimentFrame, ExperimentsQuery, MetadataColumns, SummaryColumns
from modelbox_server.service.context import Caller
from modelbox_server.service.objects import in_parts
from modelbox_server.service.search import ExperimentSearch
from modelbox_server.storage.interfaces import Condition, MetadataStore, MetricsStore

__all__ = ["FramesService"]


class FramesService:
    """Put experiments, metadata and metric summaries side by side."""

    def __init__(self, metadata: MetadataStore, metrics: MetricsStore, search: ExperimentSearch) -> None:
        self._metadata = metadata
        self._metrics = metrics
        self._search = search

    def experiments(self, caller: Caller, query: ExperimentsQuery, *, long: bool = False) -> ExperimentFrame:
        """Return one page of the experiments that a request asks for, with their metadata and the summaries of their series.

        Long metadata (:data:`~modelbox.entities.own_keys.LONG_METADATA`) comes along only with `long`.
        """
        del caller
        shown = [] if long else [Condition("key", "ne", key) for key in LONG_METADATA]
        with self._metadata.read() as tx:
            page, shown_columns = self._search.page_and_columns(tx, query)
            if shown_columns:
                return ExperimentFrame(
                    experiments=page.items,
                    metadata=MetadataColumns(),
                    metrics=SummaryColumns(),
                    shown=shown_columns,
                    next_page_token=page.next_page_token,
                )
            ids = [record.id for record in page.items]
            entries = [entry for part in in_parts(ids) for entry in tx.select(MetadataEntry, [Condition("object_id", "in", part), *shown])]
        row = {object_id: i for i, object_id in enumerate(ids)}
        return ExperimentFrame(
            experiments=page.items,
            metadata=MetadataColumns(
                row=[row[entry.object_id] for entry in entries],
                key=[entry.key for entry in entries],
                value=[entry.value for entry in entries],
            ),
            metrics=_columns(self._metrics.summaries(ids) if ids else [], row),
            next_page_token=page.next_page_token,
        )


def _columns(summaries: Sequence[SeriesSummary], row: dict[str, int]) -> SummaryColumns:
    return SummaryColumns(
        row=[row[summary.object_id] for summary in summaries],
        key=[summary.key for summary in summaries],
        count=[summary.count for summary in summaries],
        last_step=[summary.last_step for summary in summaries],
        last=[summary.last for summary in summaries],
        min=[summary.min for summary in summaries],
        max=[summary.max for summary in summaries],
        mean=[summary.mean for summary in summaries],
    )
