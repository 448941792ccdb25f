"""Queries are answered alike by every store, exactly as the evaluator says; pages and orders hold."""

import functools
import itertools
import math
import os
import random
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelbox.entities.ids import random_id
from modelbox.entities.records import ExperimentRecord, Json, Status
from modelbox.entities.series import SeriesBlock, SeriesSummary, ValueKind
from modelbox.entities.times import to_us
from modelbox.errors import InvalidQuery
from modelbox.wire.messages import ExperimentCreate, ExperimentsQuery, ExperimentUpdate, ModelCreate
from modelbox.wire.query.ast import MetricField, identity
from modelbox.wire.query.evaluate import Absent, Facts, decide, series_by_key, value_of
from modelbox.wire.query.parser import parse
from modelbox_server.service.context import Caller
from modelbox_server.service.paging import query_bytes, sealed
from modelbox_server.testing.samples import METRIC, NAMESPACE, float_block, text_block
from modelbox_server.wiring import Services, ephemeral_services, local_services

EXAMPLES = int(os.environ.get("MODELBOX_QUERY_EXAMPLES", "200"))
START = datetime(2026, 3, 28, 22, tzinfo=UTC)
CALLER = Caller("Zoë", "embedded")


@dataclass
class Clock:
    """Says what it was told to."""

    moment: datetime = START

    def __call__(self) -> datetime:
        return self.moment


@dataclass
class World:
    """The same experiments in memory and in SQLite, and all that is known of them."""

    stores: list[Services]
    clock: Clock
    facts: dict[str, Facts] = field(default_factory=dict)

    def pages(self, services: Services, query: ExperimentsQuery) -> Iterator[list[ExperimentRecord]]:
        token: str | None = None
        while True:
            page = services.experiments.list(
                CALLER, ExperimentsQuery(q=query.q, namespace=query.namespace, limit=query.limit, page_token=token)
            )
            yield page.items
            token = page.next_page_token
            if token is None:
                return
            # The time goes on between pages, but not for what they compare it with.
            self.clock.moment += timedelta(minutes=7)

    def found(self, services: Services, q: str, limit: int = 1000, namespace: str | None = None) -> list[str]:
        pages = list(self.pages(services, ExperimentsQuery(q=q, limit=limit, namespace=namespace)))
        assert all(len(page) == limit for page in pages[:-1])
        assert len(pages) == 1 or pages[-1]
        return [record.id for page in pages for record in page]


PARAMS: dict[str, list[Json]] = {
    "params.lr": [0.1, 0.01, 1, -0.0, math.nan, math.inf, -math.inf, "0.1", None],
    "params.depth": [1, 2, 3, 2.0, 2**53 + 1, float(2**53), True],
    "params.opt": ["adam", "Adam", "sgd", "été", "", {"name": "adam", "lr": 0.1}, ["adam"]],
    "params.opt.name": ["sgd", 3],
    "params.flag": [True, False, 0, 1, "true", None],
    "params.a.b": ["x", 1],
    "tags.baseline": [True, False],
    "tags.équipe/1": [True],
    METRIC: ["not a metric", 7],
    "note": ["a%b", "a_b", "line\nbreak", "x" * 3000 + "y", "日本語"],
}
SERIES = ["loss", METRIC, "loss.max", "acc"]
FIELDS = [
    *("name", "namespace", "owner", "group", "framework", "parent", "id", "status"),
    *("created", "updated", "started", "finished", "age", "duration", "age", "created", "age", "namespace", "namespace", "name"),
    *("params.lr", "params.depth", "params.opt", "params.opt.name", "params.opt.lr", "params.flag", 'params."a.b"', "params.missing"),
    *("tags.baseline", 'tags."équipe/1"', f"metadata.`{METRIC}`", "meta.note"),
    *("metrics.loss", "metrics.loss.min", "metrics.loss.max", "metrics.loss.mean", "metrics.loss.count", 'metrics."loss.max"'),
    *(f"metrics.`{METRIC}`.last", f"metrics.`{METRIC}`.max", "metrics.acc.min", "metrics.nothing"),
    *("metrics.loss.first", "metrics.loss.at(0)", "metrics.loss.at(2)", "metrics.loss.at(-7)", "metrics.acc.first", "metrics.acc.at(1)"),
    *(f"metrics.`{METRIC}`.first", f"metrics.`{METRIC}`.at(3)", "metrics.nothing.first"),
]
# What needs points: a table of them stands beside the summaries.
POINT_FIELDS = [
    *(MetricField(key, "first") for key in ("loss", "loss.max", "acc", METRIC)),
    *(MetricField(key, "at", step) for key in ("loss", "acc", METRIC) for step in (-7, 0, 1, 2, 3)),
]
TEXTS = ["'adam'", "'sgd'", "'digits 1'", "'digits 2'", "'équipe/vision'", "''", "'0.1'", "'grid'", "'x'", "'true'", "'Zoë'", "'ann'"]
NUMBERS = ["0.1", "0", "1", "2", "3", "-1", "1e-2", "9007199254740993", "0.5", "7", "inf", "-inf", "nan"]
PATTERNS = ["'^digits \\d$'", "'a'", "'(?i)ADAM'", "'^$'", "'[12]$'", "'e|s'", "'.'", "'^a.*m$'", "'é'"]
LIKES = ["'digits%'", "'%a%'", "'_gd'", "'a\\%b'", "'%'", "'équipe%'", "'x%y'"]
TIMES = ["'2026-03-28'", "'2026-03-29'", "'2026-03-28T23:00:00+01:00'", "'2026-03-28T22:00:03Z'", "'2020-01-01'", "'9999-12-31'"]
SPANS = ["5s", "1min", "1h", "1d", "3600", "0", "500w", "2d", "2d1h", "49h", "26h30s"]


def fill(world: World, chance: random.Random, count: int) -> None:
    """Make the same experiments everywhere."""
    ids: list[str] = []
    for number in range(count):
        # Several experiments of one moment, and a clock that goes back now and then.
        world.clock.moment = START + timedelta(seconds=chance.choice([number // 3, number // 3, 86_400 + number, -number]))
        create = ExperimentCreate(
            name=chance.choice(["digits 1", "digits 2", "été", "Digits", "a%b"]),
            id=random_id(),
            namespace=chance.choice([NAMESPACE, NAMESPACE, "équipe", "équipe2/x", "team/a", "team", ""]),
            owner=chance.choice(["ann", "bob", ""]),
            group=chance.choice(["", "grid", "grid 2"]),
            framework=chance.choice(["", "torch"]),
            parent_id=chance.choice([None, None, *ids[:3]]),
            started_at=chance.choice([None, START - timedelta(hours=3)]),
            metadata={key: chance.choice(values) for key, values in PARAMS.items() if chance.random() < 0.5},
        )
        status = chance.choice([None, Status.FINISHED, Status.FAILED, Status.INTERRUPTED])
        blocks = [block for key in SERIES for block in _blocks(chance, create.id or "", key)]
        took = timedelta(seconds=chance.choice([0, 5, 60, 3600]))
        made = world.clock.moment
        for services in world.stores:
            world.clock.moment = made
            services.experiments.create(CALLER, create)
            services.models.create(CALLER, ModelCreate(name=create.name, metadata={"params.lr": 1, "tags.baseline": True}))
            if blocks:
                services.metrics.append(CALLER, blocks)
            world.clock.moment = made + took
            if status is not None:
                services.experiments.update(CALLER, create.id or "", ExperimentUpdate(status=status))
        ids.append(create.id or "")
        records = [services.experiments.get(CALLER, ids[-1]) for services in world.stores]
        assert records[0] == records[1]
        series = series_by_key(_summary(block) for block in blocks)
        world.facts[ids[-1]] = Facts(records[0], dict(create.metadata), series, _point_values(blocks, series))
    world.clock.moment = START + timedelta(days=2)


def _blocks(chance: random.Random, object_id: str, key: str) -> list[SeriesBlock]:
    blocks: list[SeriesBlock] = []
    if chance.random() < 0.6:
        # Means of these, two or four at a time, are exact in every way of computing them.
        values = [chance.choice([math.nan, math.inf, -math.inf, -0.0, 0.5, 1.0, 2.0, 0.25]) for _ in range(chance.choice([1, 2, 4]))]
        blocks.append(float_block(object_id, values, key=key))
    if chance.random() < 0.2:
        blocks.append(text_block(object_id, [chance.choice(["adam", "x", ""]) for _ in range(chance.randrange(1, 3))], key=key))
    return [_shuffled(chance, block) for block in blocks]


def _shuffled(chance: random.Random, block: SeriesBlock) -> SeriesBlock:
    """Give points steps in any order, some of them the same."""
    return replace(block, steps=array("q", [chance.choice([-7, 0, 1, 2, 2, 3]) for _ in range(len(block))]))


def _points(block: SeriesBlock) -> list[tuple[int, float | str]]:
    """Return steps and values by (step, wall clock), and in order of arrival where both are equal."""
    values = list(memoryview(block.values).cast("B").cast("d")) if block.kind is ValueKind.FLOAT else list(block.values)  # type: ignore[arg-type]
    steps, clocks = (list(memoryview(column).cast("B").cast("q")) for column in (block.steps, block.wall_times_us))
    ordered = sorted(range(len(values)), key=lambda i: (steps[i], clocks[i]))
    return [(steps[i], values[i]) for i in ordered]  # type: ignore[misc]


def _point_values(blocks: list[SeriesBlock], series: Mapping[str, SeriesSummary]) -> dict[MetricField, float | str]:
    found: dict[MetricField, float | str] = {}
    for block in blocks:
        for wanted in POINT_FIELDS:
            if wanted.key == block.key and series[block.key].kind is block.kind:
                values = [value for step, value in _points(block) if wanted.step in {None, step}]
                if values:
                    found[wanted] = values[0 if wanted.statistic == "first" else -1]
    return found


def _summary(block: SeriesBlock) -> SeriesSummary:
    """Summarise points in the plainest way."""
    points = _points(block)
    values = [value for _, value in points]
    numbers = [value for value in values if isinstance(value, float) and not math.isnan(value)]
    return SeriesSummary(
        object_id=block.object_id,
        key=block.key,
        kind=block.kind,
        count=len(values),
        first_step=points[0][0],
        last_step=points[-1][0],
        last_wall_time_us=0,
        last=values[-1],
        min=min(numbers, default=None),
        max=max(numbers, default=None),
        mean=sum(numbers) / len(numbers) if numbers else None,
    )


def random_query(chance: random.Random) -> str:
    where = _expression(chance, 3) if chance.random() < 0.95 else ""
    terms = [f"{chance.choice(FIELDS)} {chance.choice(['', 'asc', 'desc'])}" for _ in range(chance.choice([0, 0, 1, 2, 3]))]
    order = f" order by {', '.join(terms)}" if terms else ""
    limit = f" limit {chance.randrange(1, 30)}" if chance.random() < 0.3 else ""
    return f"{where}{order}{limit}"


def _expression(chance: random.Random, depth: int) -> str:
    kind = chance.random()
    if depth == 0 or kind < 0.4:
        return _test(chance)
    if kind < 0.5:
        return f"not {_expression(chance, depth - 1)}"
    if kind < 0.6:
        return f"({_expression(chance, depth - 1)})"
    return chance.choice([" and ", " and ", " or "]).join(_expression(chance, depth - 1) for _ in range(chance.randrange(2, 4)))


def _test(chance: random.Random) -> str:
    name = chance.choice(FIELDS)
    pool, texts = _values(chance, name)
    value = functools.partial(chance.choice, pool)
    comparators = ["=", "!="] if name == "status" else ["=", "!=", "<", "<=", ">", ">="]
    tests = [
        lambda: name,
        lambda: f"{name} {chance.choice(comparators)} {value()}",
        lambda: f"{name} {chance.choice(comparators)} {value()}",
        lambda: f"{name} {chance.choice(comparators)} {value()}",
        lambda: f"{name} {chance.choice(['in', 'not in'])} ({', '.join(value() for _ in range(chance.randrange(1, 4)))})",
    ]
    if name != "status":
        tests.append(lambda: f"{name} {chance.choice(['', 'not '])}between {value()} and {value()}")
    if texts:
        tests.append(lambda: f"{name} {chance.choice(['~', '!~'])} {chance.choice(PATTERNS)}")
        tests.append(lambda: f"{name} {chance.choice(['', 'not '])}like {chance.choice(LIKES)}")
    if "." in name:
        tests.append(lambda: f"{name} {chance.choice(['=', '!='])} {chance.choice(['true', 'false', 'null', 'nan', 'adam'])}")
    return chance.choice(tests)()


def _values(chance: random.Random, name: str) -> tuple[list[str], bool]:
    """Return what a field may be compared with, and whether it may be text."""
    if name in {"created", "updated", "started", "finished"}:
        return TIMES, False
    if name in {"age", "duration"}:
        return SPANS, False
    if name == "status":
        return ["running", "finished", "'failed'", "Interrupted"], True
    if name == "namespace":
        return ["'équipe/*'", "'team?*'", "'*'", "'équipe/vision'", "team", "'t*m'", "default"], True
    if "." not in name:
        return TEXTS, True
    return chance.choice([TEXTS, NUMBERS]), True


def expected(world: World, q: str, namespace: str | None) -> list[str]:
    """Return what the evaluator says, in the order that the language promises: compared pair by pair, without any key."""
    query = parse(q)
    now_us = to_us(world.clock.moment)
    found = [
        facts
        for facts in world.facts.values()
        if (query.where is None or decide(query.where, facts, now_us))
        and (namespace is None or f"{facts.record.namespace}/".startswith(f"{namespace}/"))
    ]

    def compared(one: Facts, other: Facts) -> int:
        for term in query.order:
            a, b = (value_of(term.field, facts, now_us) for facts in (one, other))
            if _rank(a) != _rank(b):
                return _rank(a) - _rank(b)
            if _rank(a) < 3 and a != b:
                return -1 if (a < b) is not term.descending else 1  # type: ignore[operator]
        newest = [(facts.record.created_at, facts.record.id) for facts in (one, other)]
        return -1 if newest[0] > newest[1] else 1

    ordered = sorted(found, key=functools.cmp_to_key(compared))
    return [facts.record.id for facts in ordered[: query.limit]]


def _rank(value: Json | Absent) -> int:
    match value:
        case bool():
            return 2
        case float() if math.isnan(value):
            return 3
        case int() | float():
            return 0
        case str():
            return 1
        case _:
            return 4


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[World]]:
    """Two data sets, each in memory and in SQLite."""
    chance = random.Random(20260329)  # noqa: S311 - repeatable
    made: list[World] = []
    for size in (25, 130):
        clock = Clock()
        folder: Path = tmp_path_factory.mktemp("store")
        made.append(World([ephemeral_services(clock=clock), local_services(folder / "store", clock=clock)], clock))
        fill(made[-1], chance, size)
    yield made
    for services in itertools.chain.from_iterable(world.stores for world in made):
        services.close()


@pytest.mark.timeout(1800)
def test_random_queries_are_answered_alike_by_every_store_and_by_the_evaluator(worlds: list[World]) -> None:
    """Every example is one query over one data set; MODELBOX_QUERY_EXAMPLES says how many."""
    sizes: list[int] = []
    for example in range(EXAMPLES):
        chance = random.Random(example)  # noqa: S311 - repeatable
        world = worlds[example % len(worlds)]
        q = random_query(chance)
        namespace = chance.choice([None, None, None, "équipe", "team"])
        limit = chance.choice([1000, 100, 20, 7]) if len(world.facts) > 50 else chance.choice([1000, 3, 1])
        now = world.clock.moment = START + timedelta(days=2, hours=example % 5)
        wanted = expected(world, q, namespace)
        for services in world.stores:
            world.clock.moment = now
            assert world.found(services, q, limit, namespace) == wanted, f"example {example}: {q}"
        sizes.append(len(wanted))
    some = sum(0 < size < 120 for size in sizes)
    print(f"{EXAMPLES} queries, {some} of them neither empty nor everything, on 2 stores: 0 differences")
    assert some > EXAMPLES // 4, "the queries must tell experiments apart"


def test_a_frame_has_the_rows_of_the_list(worlds: list[World]) -> None:
    q = "params.depth > 1 or metrics.loss.min < 1 order by metrics.loss.min desc limit 15"
    for services in worlds[1].stores:
        frame = services.frames.experiments(CALLER, ExperimentsQuery(q=q))
        assert [record.id for record in frame.experiments] == worlds[1].found(services, q)
        assert len(frame.experiments) == 15
        assert {frame.experiments[row].id for row in frame.metrics.row} <= {record.id for record in frame.experiments}


def test_the_columns_that_a_query_shows_are_the_values_of_its_fields(worlds: list[World]) -> None:
    """Each page has its part of each column; what is not there is null."""
    shown = ", ".join(FIELDS)
    for number, world in enumerate(worlds):
        q = f"params.depth or metrics.loss order by metrics.loss.first, name desc show {shown} limit 90"
        for services in world.stores:
            now = world.clock.moment
            token: str | None = None
            seen: list[str] = []
            while True:
                frame = services.frames.experiments(CALLER, ExperimentsQuery(q=q, limit=40, page_token=token))
                for column, field_ in zip(frame.shown, parse(q).show, strict=True):
                    assert column.label == field_.label
                    for record, value in zip(frame.experiments, column.values, strict=True):
                        wanted = value_of(field_.field, world.facts[record.id], to_us(now))
                        assert identity(value) == identity(None if isinstance(wanted, Absent) else wanted), f"world {number} {column.label}"
                seen += [record.id for record in frame.experiments]
                token = frame.next_page_token
                if token is None:
                    break
            world.clock.moment = now
            assert seen == expected(world, q, None)


def test_an_empty_query_lists_everything_newest_first(worlds: list[World]) -> None:
    for services in worlds[0].stores:
        plain = services.experiments.list(CALLER, ExperimentsQuery(limit=1000)).items
        assert worlds[0].found(services, "", 4) == [record.id for record in plain]


@pytest.mark.parametrize("order", ["", " order by params.lr", " order by age"])
def test_a_page_token_fits_its_own_query_only(services: Services, caller: Caller, order: str) -> None:
    for number in range(3):
        services.experiments.create(caller, ExperimentCreate(name=f"run {number}", metadata={"params.lr": number}))
    page = services.experiments.list(caller, ExperimentsQuery(q=f"params.lr >= 0{order}", limit=1))
    assert page.next_page_token is not None
    for other in (f"params.lr > 0{order}", None):
        with pytest.raises(InvalidQuery, match="page_token"):
            services.experiments.list(caller, ExperimentsQuery(q=other, limit=1, page_token=page.next_page_token))


@pytest.mark.parametrize(
    "place",
    [
        7,
        [],
        [0, 1],
        [0, 1, []],
        [0, 1, [[0, 1], [1, "a"]]],
        [0, 1, [[0, 1], [0, 1], [0, 1]]],
        [0, 1, [[1, 1], [0, 1], [1, "a"]]],
        [0, 1, [[0, 1], [0, 2**63], [1, "a"]]],
        [0, 1, [[0, 1], [0, -(10**17)], [1, "a"]]],
        [0, 1, [[0, 1], [0, 0.5], [1, "a"]]],
        [0, 1, [[0], [0, 1], [1, "a"]]],
        [0, 1, [[0, 1, 2], [0, 1], [1, "a"]]],
        [0, 5, [[0, 1], [0, 1], [1, "a"]]],
        [0, 0, [[0, 1], [0, 1], [1, "a"]]],
        ["0", 1, [[0, 1], [0, 1], [1, "a"]]],
        {"a": 1},
    ],
)
def test_a_place_that_somebody_made_up_is_refused(services: Services, caller: Caller, place: Json) -> None:
    q = "order by params.lr limit 5"
    token = sealed(place, query_bytes(ExperimentRecord, [], None) + q.encode())
    with pytest.raises(InvalidQuery, match="page_token"):
        services.experiments.list(caller, ExperimentsQuery(q=q, page_token=token))


def test_what_was_deleted_between_pages_moves_nothing(services: Services, caller: Caller) -> None:
    ids = [
        services.experiments.create(caller, ExperimentCreate(name=f"run {number}", metadata={"params.lr": number})).item.id
        for number in range(6)
    ]
    query = ExperimentsQuery(q="params.lr >= 0 order by params.lr", limit=2)
    first = services.experiments.list(caller, query)
    services.experiments.delete(caller, ids[1])
    second = services.experiments.list(caller, ExperimentsQuery(q=query.q, limit=2, page_token=first.next_page_token))
    assert [record.id for record in (*first.items, *second.items)] == ids[:4]


def test_what_is_rare_is_found_however_far_down_it_lies(services: Services, caller: Caller) -> None:
    """More runs than are looked at in one go; by metadata alone, and by the record as well."""
    ids = [
        services.experiments.create(caller, ExperimentCreate(name=f"run {number}", metadata={"params.n": number})).item.id
        for number in range(330)
    ]
    rare = {ids[number] for number in (0, 3, 120, 121, 329)}
    for q in ("params.n in (0, 3, 120, 121, 329)", "name != nobody and params.n in (0, 3, 120, 121, 329)"):
        wanted = [record.id for record in services.experiments.list(caller, ExperimentsQuery(limit=1000)).items if record.id in rare]
        found: list[ExperimentRecord] = []
        token, pages = None, 0
        while token is not None or not pages:
            page = services.experiments.list(caller, ExperimentsQuery(q=q, limit=2, page_token=token))
            found += page.items
            token, pages = page.next_page_token, pages + 1
        assert [record.id for record in found] == wanted
        assert [record.name for record in found] == [f"run {ids.index(record.id)}" for record in found]


def test_a_mistake_is_an_invalid_query_whatever_is_stored(services: Services, caller: Caller) -> None:
    with pytest.raises(InvalidQuery, match="Column 1: there is no field 'stats'"):
        services.experiments.list(caller, ExperimentsQuery(q="stats = failed"))
    with pytest.raises(InvalidQuery, match="Column 1: there is no field 'stats'"):
        services.frames.experiments(caller, ExperimentsQuery(q="stats = failed"))
