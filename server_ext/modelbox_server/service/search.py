"""Which experiments a request asks for.

A query is answered with as little looking up as possible, and decided exactly as the language says.

The database narrows records by the conditions of the query that it knows. What is left is decided by
:mod:`modelbox.wire.query.evaluate`, by the record alone where that is enough; metadata, and then summaries of series (which lie in another
store), are looked up only for the experiments on which they bear, and only under the keys that the query mentions. So all backends give the
same answers.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, cast

from msgspec.structs import replace

from modelbox.entities.names import checked_name, checked_namespace
from modelbox.entities.records import ExperimentRecord, Json, MetadataEntry
from modelbox.entities.series import SeriesSummary
from modelbox.entities.times import EPOCH, from_us, to_us
from modelbox.errors import InvalidRequest
from modelbox.wire.messages import ExperimentsQuery, Page, ShownColumn
from modelbox.wire.query.ast import Field, Query
from modelbox.wire.query.evaluate import Absent, Facts, decide, series_by_key, value_of
from modelbox.wire.query.fields import column_kind
from modelbox.wire.query.needs import Needs, fields_of, looks_at_record, needs_of, required_keys
from modelbox.wire.query.ordering import Sortable, behind, in_order, is_place, sortable
from modelbox.wire.query.parser import parse
from modelbox_server.service.context import Clock
from modelbox_server.service.guarded import trusted
from modelbox_server.service.narrowing import necessary
from modelbox_server.service.paging import foreign_token, page_of, query_bytes, sealed, shown_limit, unsealed
from modelbox_server.service.point_values import point_values
from modelbox_server.storage.interfaces import Condition, MetadataTransaction, MetricsStore, Order

__all__ = ["ExperimentSearch"]

_NEWEST_FIRST: Final = Order("created_at", descending=True)
_MAX_IDS: Final = 1_000
_LEAST_BATCH: Final = 100
_GREATEST_BATCH: Final = 4_000
_FEW_ENTRIES: Final = 2_000


class ExperimentSearch:
    """Answer queries over two stores.

    Parameters
    ----------
    metrics
        Where the series are.
    clock
        What ages are counted from.
    """

    def __init__(self, metrics: MetricsStore, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def page(self, tx: MetadataTransaction, request: ExperimentsQuery) -> Page[ExperimentRecord]:
        """Return one page of the experiments for which the query of the request and all its other fields hold.

        Without a query they come newest first. The pages of one list count ages from one moment, that of the first page.

        Raises
        ------
        InvalidQuery
            The query is not of the language, the token belongs to another one, or the limit is below 1.
        """
        return self._found(tx, request, with_columns=False)[0]

    def page_and_columns(self, tx: MetadataTransaction, request: ExperimentsQuery) -> tuple[Page[ExperimentRecord], list[ShownColumn]]:
        """Return a page as :meth:`page` does, and the columns of it that the query shows, none where it chooses none."""
        return self._found(tx, request, with_columns=True)

    def _found(
        self, tx: MetadataTransaction, request: ExperimentsQuery, *, with_columns: bool
    ) -> tuple[Page[ExperimentRecord], list[ShownColumn]]:
        where = _conditions(request)
        if request.q is None:
            page = page_of(tx, ExperimentRecord, where, order=_NEWEST_FIRST, limit=request.limit, page_token=request.page_token)
            return page, []
        query = parse(request.q)
        shown = shown_limit(request.limit)
        owner = query_bytes(ExperimentRecord, where, None) + request.q.encode()
        # The time that ages count from, how many came so far, and what the last of them is sorted by.
        now_us, seen, last = (to_us(self._clock()), 0, None) if request.page_token is None else _place(request.page_token, owner, query)
        search = _Search(tx, self._metrics, query, where, now_us)
        rest = shown if query.limit is None else min(shown, query.limit - seen)
        # One more than asked for tells whether there is a next page.
        found = search.found(last, rest + 1)
        seen += rest
        records = [facts.record for facts in found[:rest]]
        token = None
        if len(found) > rest and seen != query.limit:
            token = sealed([now_us, seen, sortable(query.order, found[rest - 1], now_us)], owner)
        columns = search.shown(records) if with_columns and query.show else []
        return Page(items=records, next_page_token=token, limit=shown), columns


def _conditions(request: ExperimentsQuery) -> list[Condition]:
    """Return what the fields of the request say, its query left out."""
    where: list[Condition] = []
    if request.namespace is not None:
        where.append(Condition("namespace", "under", checked_namespace(request.namespace)))
    if request.name is not None:
        where.append(Condition("name", "eq", checked_name(request.name, "experiment name", field="name")))
    where += [
        Condition(field, "eq", value)
        for field, value in (
            ("status", request.status),
            ("owner", request.owner),
            ("group", request.group),
            ("parent_id", request.parent_id),
        )
        if value is not None
    ]
    if request.ids is not None:
        ids = sorted({object_id.strip() for object_id in request.ids.split(",") if object_id.strip()})
        if len(ids) > _MAX_IDS:
            raise InvalidRequest(
                f"ids names {len(ids)} experiments: ask for at most {_MAX_IDS} at a time.", field="ids", limit=str(_MAX_IDS)
            )
        where.append(Condition("id", "in", ids))
    return where


def _place(page_token: str, owner: bytes, query: Query) -> tuple[int, int, Sortable]:
    """Return where a page ended; anybody can make a token whose digest fits, so nothing in it is trusted."""
    match unsealed(page_token, owner):
        case [int(now_us), int(seen), list(last)] if is_place(last, query.order) and 0 < seen < (query.limit or math.inf):
            return now_us, seen, last
        case _:
            raise foreign_token()


@dataclass(frozen=True, slots=True)
class _Search:
    """A query at a moment, over one view of the records."""

    tx: MetadataTransaction
    metrics: MetricsStore
    query: Query
    where: Sequence[Condition]
    now_us: int

    def found(self, last: Sortable | None, count: int) -> list[Facts]:
        """Return the first `count` experiments behind the place `last`."""
        order = self.query.order
        if not order:
            return list(islice(self._newest_first(last, count), count))
        keyed = [(sortable(order, facts, self.now_us), facts) for facts in self._newest_first(None, None)]
        if last is not None:
            keyed = [(key, facts) for key, facts in keyed if behind(key, last, order)]
        return [keyed[i][1] for i in in_order([key for key, _ in keyed], order)[:count]]

    def shown(self, records: Sequence[ExperimentRecord]) -> list[ShownColumn]:
        """Return the columns that the query shows of some experiments."""
        fields = [column.field for column in self.query.show]
        needs = needs_of(fields)
        ids = [record.id for record in records]
        documents = self._documents(ids, needs.metadata) if needs.metadata else {}
        series = self._series(ids, needs.series) if needs.series else {}
        facts = [Facts(record, documents.get(record.id, {}), series.get(record.id, {})) for record in records]
        points = point_values(self.metrics, facts, needs.points)
        facts = [replace(known, points=points[known.record.id]) for known in facts]
        return [
            ShownColumn(label=column.label, kind=column_kind(column.field), values=[self._cell(column.field, known) for known in facts])
            for column in self.query.show
        ]

    def _cell(self, field: Field, facts: Facts) -> Json:
        value = value_of(field, facts, self.now_us)
        return None if isinstance(value, Absent) else value

    def _newest_first(self, last: Sortable | None, count: int | None) -> Iterator[Facts]:
        """Yield what matches; `count` is how many will be taken, if that is known."""
        where = [*self.where, *necessary(self.query.where, self.now_us)]
        needs = needs_of(fields_of(self.query))
        after = None if last is None else [from_us(cast(int, last[0][1])), last[1][1]]
        examined = matched = 0
        batch = _GREATEST_BATCH if count is None else max(count, _LEAST_BATCH)
        if count is None:
            where += self._bearing_keys()
        # What looks at nothing in the record is decided by the id, and the record read of what matches only.
        by_id = self.query.where is not None and not looks_at_record(self.query.where)
        while True:
            if by_id:
                keys = self.tx.keys(ExperimentRecord, where, order=_NEWEST_FIRST, limit=batch, after=after)
                records = [_nothing_but(cast(str, key)) for (key,) in keys]
            else:
                records = self.tx.select(ExperimentRecord, where, order=_NEWEST_FIRST, limit=batch, after=after)
            matching = self._matching([Facts(record) for record in records], needs)
            if by_id:
                matching = self._with_records(matching)
            yield from matching
            if len(records) < batch:
                return
            if examined == 0 and count is not None:
                # The page is not to be had cheaply: it may pay to ask first who has the keys at all.
                where += self._bearing_keys()
            examined, matched = examined + len(records), matched + len(matching)
            end = cast(ExperimentRecord, self.tx.get(ExperimentRecord, records[-1].id)) if by_id else records[-1]
            after = [end.created_at, end.id]
            batch = _next_batch(examined, matched, count)

    def _with_records(self, found: list[Facts]) -> list[Facts]:
        ids = [facts.record.id for facts in found]
        records = {record.id: record for record in self.tx.select(ExperimentRecord, [Condition("id", "in", ids)])} if ids else {}
        return [Facts(records[facts.record.id], facts.metadata, facts.series, facts.points) for facts in found]

    def _bearing_keys(self) -> list[Condition]:
        """Return the condition that experiments have the metadata that the query is about, when few have it."""
        for keys in required_keys(self.query.where):
            bears = [Condition("key", "in", sorted(keys))]
            # How many they are is nobody's secret that this would tell: the experiments come by the guarded way.
            known = trusted(self.tx)
            if known.count(MetadataEntry, bears) <= _FEW_ENTRIES:
                return [Condition("id", "in", sorted({entry.object_id for entry in known.select(MetadataEntry, bears)}))]
        return []

    def _matching(self, candidates: list[Facts], needs: Needs) -> list[Facts]:
        """Return the candidates that match, with what they are sorted by."""
        where = self.query.where
        # Without a condition on the record nothing can be decided yet.
        open_ = where is not None and not looks_at_record(where)
        possible = [(facts, True) for facts in candidates] if open_ else self._possible(candidates)
        if needs.metadata:
            documents = self._documents([facts.record.id for facts, is_open in possible if is_open], needs.metadata)
            possible = self._possible([Facts(facts.record, documents.get(facts.record.id)) for facts, _ in possible])
        if needs.series:
            series = self._series([facts.record.id for facts, is_open in possible if is_open], needs.series)
            possible = self._possible([Facts(facts.record, facts.metadata, series.get(facts.record.id)) for facts, _ in possible])
        if needs.points:
            points = point_values(self.metrics, [facts for facts, is_open in possible if is_open], needs.points)
            possible = self._possible([replace(facts, points=points.get(facts.record.id)) for facts, _ in possible])
        return [facts for facts, _ in possible]

    def _possible(self, candidates: list[Facts]) -> list[tuple[Facts, bool]]:
        """Return the candidates that may match, and whether more should be looked up about each."""
        where, sorts = self.query.where, bool(self.query.order)
        answers = [(facts, where is None or decide(where, facts, self.now_us)) for facts in candidates]
        return [(facts, sorts or answer is None) for facts, answer in answers if answer is not False]

    def _documents(self, ids: list[str], keys: Sequence[str]) -> Mapping[str, Mapping[str, Json]]:
        return dict(zip(ids, self.tx.documents(ids, keys), strict=True))

    def _series(self, ids: list[str], keys: Sequence[str]) -> Mapping[str, Mapping[str, SeriesSummary]]:
        summaries: dict[str, list[SeriesSummary]] = {object_id: [] for object_id in ids}
        for summary in self.metrics.summaries(ids, keys) if ids else ():
            summaries[summary.object_id].append(summary)
        return {object_id: series_by_key(found) for object_id, found in summaries.items()}


def _nothing_but(experiment_id: str) -> ExperimentRecord:
    """Return an experiment of which nothing but the id is known."""
    return ExperimentRecord(id=experiment_id, name="", namespace="", created_at=EPOCH, updated_at=EPOCH, started_at=EPOCH)


def _next_batch(examined: int, matched: int, count: int | None) -> int:
    """Return how many records will probably fill the page, going by those that were examined."""
    if count is None or matched == 0:
        return min(2 * examined, _GREATEST_BATCH)
    return min(max((count - matched) * examined // matched * 5 // 4, _LEAST_BATCH), _GREATEST_BATCH)
