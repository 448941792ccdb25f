"""Which experiments are asked for, and their pages as one table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from modelbox.entities.records import Status
from modelbox.errors import InvalidRequest, nearest, shortened
from modelbox.wire.messages import ExperimentFrame, ExperimentsQuery, MetadataColumns, SummaryColumns

__all__ = ["experiments_query", "joined_frames", "newest_first"]

_FILTERS = tuple(field for field in ExperimentsQuery.__struct_fields__ if field not in {"limit", "page_token"})


def experiments_query(**filters: object) -> ExperimentsQuery:
    """Return the query with these filters.

    Raises
    ------
    InvalidRequest
        There is no such filter, or a filter has a value that it cannot have.
    """
    for name in filters:
        if name not in _FILTERS:
            tail = nearest(name, _FILTERS) or f"There is: {', '.join(_FILTERS)}."
            raise InvalidRequest(f"Experiments have no filter {shortened(name)}. {tail}", field=name)
    given = {name: value for name, value in filters.items() if value is not None}
    ids = given.get("ids")
    if isinstance(ids, Iterable) and not isinstance(ids, str):
        given["ids"] = ",".join(str(item) for item in ids)
    if "status" in given and given["status"] not in list(Status):
        raise InvalidRequest(f"There is no status {shortened(given['status'])}: take one of {', '.join(Status)}.", field="status")
    try:
        return msgspec.convert(given, ExperimentsQuery)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The filters do not fit: {error}.") from error


def joined_frames(pages: Sequence[ExperimentFrame]) -> ExperimentFrame:
    """Return several answers of :meth:`modelbox.ModelBox.experiment_frame` as one."""
    if len(pages) == 1:
        return pages[0]
    experiments = [record for page in pages for record in page.experiments]
    metadata: dict[str, list[object]] = {name: [] for name in MetadataColumns.__struct_fields__}
    metrics: dict[str, list[object]] = {name: [] for name in SummaryColumns.__struct_fields__}
    first_row = 0
    for page in pages:
        for columns, part in ((metadata, page.metadata), (metrics, page.metrics)):
            for name, column in columns.items():
                values = getattr(part, name)
                column += [first_row + row for row in values] if name == "row" else values
        first_row += len(page.experiments)
    return ExperimentFrame(
        experiments=experiments,
        metadata=MetadataColumns(**metadata),  # type: ignore[arg-type]  # the columns keep the types they had in the pages
        metrics=SummaryColumns(**metrics),  # type: ignore[arg-type]  # likewise
        shown=[
            msgspec.structs.replace(parts[0], values=[value for part in parts for value in part.values])
            for parts in zip(*(page.shown for page in pages), strict=True)
        ],
    )


def newest_first(frame: ExperimentFrame) -> ExperimentFrame:
    """Return the same answer with its experiments in the order of the store."""
    records = frame.experiments
    rows = sorted(range(len(records)), key=lambda row: (records[row].created_at, records[row].id), reverse=True)
    place = {row: at for at, row in enumerate(rows)}
    return msgspec.structs.replace(
        frame,
        experiments=[records[row] for row in rows],
        metadata=msgspec.structs.replace(frame.metadata, row=[place[row] for row in frame.metadata.row]),
        metrics=msgspec.structs.replace(frame.metrics, row=[place[row] for row in frame.metrics.row]),
        shown=[msgspec.structs.replace(column, values=[column.values[row] for row in rows]) for column in frame.shown],
    )
