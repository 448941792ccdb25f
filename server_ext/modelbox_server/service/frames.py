"""Experiments with everything that a table of runs shows, as columns: one answer instead of one request per run."""

from collections.abc import Mapping, Sequence
from itertools import chain

from modelbox.entities.own_keys import LONG_METADATA
from modelbox.entities.records import Json
from modelbox.wire.messages import ExperimentFrame, ExperimentsQuery, MetadataColumns
from modelbox_server.service.context import Caller
from modelbox_server.service.guarded import Records
from modelbox_server.service.search import ExperimentSearch
from modelbox_server.storage.interfaces import MetricsStore

__all__ = ["FramesService"]


class FramesService:
    """Put experiments, metadata and metric summaries side by side."""

    def __init__(self, records: Records, metrics: MetricsStore, search: ExperimentSearch) -> None:
        self._records = records
        self._metrics = metrics
        self._search = search

    def experiments(self, caller: Caller, query: ExperimentsQuery, *, long: bool = False) -> ExperimentFrame:
        """Return one page of the experiments that a request asks for, with their metadata and the summaries of their series.

        Long metadata (:data:`~modelbox.entities.own_keys.LONG_METADATA`) comes along only with `long`.
        """
        with self._records.read(caller) as tx:
            page, shown = self._search.page_and_columns(tx, caller.meant(query))
            ids = [record.id for record in page.items] if not shown else []
            documents = tx.documents(ids, without=() if long else LONG_METADATA)
        return ExperimentFrame(
            experiments=page.items,
            metadata=_metadata_columns(documents),
            metrics=self._metrics.summary_columns(ids),
            shown=shown,
            next_page_token=page.next_page_token,
        )


def _metadata_columns(documents: Sequence[Mapping[str, Json]]) -> MetadataColumns:
    """Return documents as columns, by key and then by row."""
    keys = sorted(set(chain.from_iterable(documents)))
    height = len(documents)
    if len(keys) * height == sum(map(len, documents)):
        # Every run has all of them, as the runs of a search over parameters do.
        return MetadataColumns(
            row=list(range(height)) * len(keys),
            key=[key for key in keys for _ in range(height)],
            value=[document[key] for key in keys for document in documents],
        )
    rows: dict[str, list[int]] = {key: [] for key in keys}
    values: dict[str, list[Json]] = {key: [] for key in keys}
    for row, document in enumerate(documents):
        for key, value in document.items():
            rows[key].append(row)
            values[key].append(value)
    return MetadataColumns(
        row=list(chain.from_iterable(rows.values())),
        key=[key for key in keys for _ in rows[key]],
        value=list(chain.from_iterable(values.values())),
    )
