"""The query language means what its page says (modelbox.wire.query)."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from modelbox.entities.records import ExperimentRecord, Json, Status
from modelbox.entities.series import SeriesSummary, ValueKind
from modelbox.entities.times import to_us
from modelbox.wire.query.ast import All, Compare, MetadataField, MetricField, OneOf, RecordField, Term
from modelbox.wire.query.evaluate import Facts, decide, series_by_key
from modelbox.wire.query.ordering import in_order, sortable
from modelbox.wire.query.parser import parse

CREATED = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOW_US = to_us(CREATED + timedelta(days=3))

RECORD = ExperimentRecord(
    id="a" * 40,
    name="digits-12",
    namespace="équipe/vision",
    owner="ann",
    status=Status.FINISHED,
    group="grid",
    created_at=CREATED,
    updated_at=CREATED,
    started_at=CREATED,
    finished_at=CREATED + timedelta(minutes=90),
)

METADATA: dict[str, Json] = {
    "params.lr": 0.003,
    "params.depth": 12,
    "params.optimizer": "adam",
    "params.ema": False,
    "params.resume": None,
    "params.zero": 0,
    "params.empty": "",
    "params.layers": [64, 64],
    "params.opt": {"betas": {"first": 0.9}, "name": "adam"},
    "params.opt.name": "sgd",
    "params.bad": math.nan,
    "params.a.b": "dots",
    "params.learning-rate": 1e-3,
    "params.big": 2**53 + 1,
    "params.not": "word",
    "tags.baseline": True,
    "git/commit": "abc123",
    "note": 'say "hi"\nand \\d',
}


def summary(key: str, kind: ValueKind = ValueKind.FLOAT, **fields: object) -> SeriesSummary:
    return SeriesSummary(object_id=RECORD.id, key=key, kind=kind, count=7, first_step=0, last_step=6, last_wall_time_us=0, **fields)  # type: ignore[arg-type]


SERIES = series_by_key(
    [
        summary("accuracy", last=0.9, min=0.1, max=0.95, mean=0.6),
        summary("loss", ValueKind.TEXT, last="high"),
        summary("loss", last=math.nan, min=0.25, max=math.inf, mean=1.0),
        summary("val/loss @1", last=0.5, min=0.5, max=0.5, mean=0.5),
        summary("loss.max", last=-1.0, min=-1.0, max=-1.0, mean=-1.0),
        summary("phase", ValueKind.TEXT, last="warm-up"),
        summary("mask", ValueKind.BYTES),
    ]
)
FACTS = Facts(RECORD, METADATA, SERIES, {MetricField("accuracy", "first"): 0.2, MetricField("accuracy", "at", 3): 0.3})


def holds(query: str, facts: Facts = FACTS) -> bool | None:
    where = parse(query).where
    return where is None or decide(where, facts, NOW_US)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "  \n ",
        "metrics.accuracy.max > 0.9 and params.lr < 0.01 or tags.baseline",
        # fields of the record
        "name = digits-12",
        "name = 'digits-12' and name == \"digits-12\"",
        "namespace = équipe/vision",
        "namespace = 'e\u0301quipe/vision'",
        "namespace = 'équipe/*'",
        "namespace = '*'",
        "namespace != 'team/*'",
        "namespace in ('team/*', '?quipe/*')",
        "namespace not in ('team/*', équipe)",
        "owner = ann and group >= grid and owner < bob",
        "framework = '' and not framework and framework != torch",
        "status = finished and STATUS in (Failed, 'FINISHED') and status != running",
        "id like 'aaaa%' and experiment_id ~ '^a{40}$'",
        "not parent and not (parent = 'a') and not (parent != 'a') and not (parent not in ('a'))",
        # times
        "created = '2026-07-01'",
        "created >= '2026-07-01' and created <= '2026-07-01' and not created > '2026-07-01' and not created < '2026-07-01'",
        "created > '2026-06-30' and created < '2026-07-02'",
        "created = '2026-07-01T12:00:00' and created = '2026-07-01T14:00:00+02:00' and created != '2026-07-02'",
        "created between '2026-06-30' and '2026-07-01' and created in ('2026-07-01', '2020-01-01')",
        "created not in ('2020-01-01', '2020-01-02') and created not between '2020-01-01' and '2021-01-01'",
        "finished > '2026-07-01' or finished_at <= '2026-07-01' and finished",
        "age = 3d and age < 3d1s and age > 71h and age <= 259200 and age between 2d and 1w",
        "duration = 1h30min and duration = 90m and duration = 5400 and duration_s >= 1.5h",
        # metadata
        "params.lr and params.lr < 0.01 and params.lr >= 3e-3 and params.lr = .003",
        "params.depth = 12 and params.depth = 12.0 and params.depth in (11, 12) and params.depth != 13",
        "params.depth between 12 and 12 and params.depth not between 1 and 5",
        "params.big = 9007199254740993 and params.big > 9007199254740992",
        "params.optimizer = adam and params.optimizer != 3 and params.optimizer not in (1, null)",
        "params.ema = false and not params.ema and params.ema != true and params.ema != 0",
        "params.resume = null and not params.resume and params.resume != false",
        "params.zero and params.zero = 0 and params.zero = -0.0 and params.zero != false",
        "not params.empty and params.empty = ''",
        "params.layers and params.layers != 64 and not (params.layers = 64) and not params.layers > 0",
        "params.opt.betas.first = 0.9 and params.opt.name = sgd and params.opt",
        "params.bad = nan and params.bad in (NaN) and not params.bad < 1 and not params.bad >= 1 and params.bad != 1",
        "params.a.b = dots and params.'a.b' = dots and params.`a.b` = dots and metadata.params.a.b = dots",
        "params.learning-rate = 1e-3 and params.not = word",
        "tags.baseline and not tags.missing and tags.baseline = TRUE",
        "meta.git/commit ~ '^[0-9a-f]+$' and metadata.'git/commit' like 'abc%' and meta.git/commit not like 'b%'",
        r"""meta.note = 'say "hi"\nand \\d' and meta.note ~ '\\\\d$' and meta.note ~ "\"hi\"\s" """,
        # what is missing makes every comparison false
        "not (params.x = 1) and not (params.x != 1) and not (params.x in (1)) and not (params.x not in (1)) and not (params.x !~ 'a')",
        "not params.x < 1 and not (params.x not between 1 and 2) and not params.x",
        # metrics
        "metrics.accuracy.first = 0.2 and metrics.accuracy.at(3) = 0.3 and metrics.accuracy.AT( 6 ) = 0.9 and metrics.accuracy.at(3)",
        "not metrics.accuracy.at(4) and not (metrics.accuracy.at(7) != 1) and not (metrics.accuracy.at(-1) = 1) and not metrics.no.first",
        "metrics.'accuracy'.first < 1 and not metrics.'accuracy.first' and not metrics.accuracy.'first' and not metrics.mask.first",
        "metrics.accuracy = 0.9 and metrics.accuracy.last = 0.9 and metrics.accuracy.min < .2 and metrics.accuracy.mean = 0.6",
        "metrics.accuracy.count = 7 and metrics.accuracy and not metrics.nothing",
        "metrics.loss = nan and metrics.loss.max = inf and metrics.loss.max > 1e308 and metrics.loss.min > -inf",
        "metrics.val/loss = 1 or metrics.'val/loss @1'.min between 0.1 and 0.5",
        "metrics.'loss.max' = -1 and metrics.`loss.max`.max = -1 and metrics.loss.'max' = -1",
        "metrics.phase = warm-up and metrics.phase ~ 'up$' and not metrics.phase.max",
        "metrics.mask and metrics.mask.count = 7 and not (metrics.mask = 1) and not (metrics.mask != 1)",
        # how parts combine
        "NOT name = x AND (name = y OR name = digits-12)",
        "name = x and name = y or name = digits-12",
        "name = digits-12 or name = x and name = y",
        "not not name = digits-12",
        "not name = x and not name in (x, y)",
    ],
)
def test_it_holds(query: str) -> None:
    assert holds(query) is True


@pytest.mark.parametrize(
    "query",
    [
        "name = Digits-12",
        "name < a",
        "namespace = équipe",
        "not tags.baseline",
        "params.lr > 0.003",
        "params.optimizer > 3",
        "params.depth < 'z'",
        "metrics.accuracy.max > 0.95",
        "age > 3d",
        "created > '2026-07-01'",
        "params.note like '%'",
        "name like 'digits_1'",
        "name ~ '^igits'",
    ],
)
def test_it_does_not_hold(query: str) -> None:
    assert holds(query) is False


def test_words_bind_as_in_other_languages() -> None:
    name, owner, status = (Compare(RecordField(field), "=", "x") for field in ("name", "owner", "group"))
    assert parse("name = x or owner = x and group = x").where == OneOf((name, All((owner, status))))


def test_order_and_limit_are_read() -> None:
    query = parse("name = x ORDER BY metrics.loss.min ASC, params.lr desc, created LIMIT 20")
    assert query.order == (
        Term(MetricField("loss", "min")),
        Term(MetadataField(("params", "lr")), descending=True),
        Term(RecordField("created")),
    )
    assert query.limit == 20
    assert parse("limit 3").limit == 3
    assert parse("order by name").order == (Term(RecordField("name")),)


def test_what_was_not_looked_up_leaves_the_answer_open_only_where_it_matters() -> None:
    record_only = Facts(RECORD)
    assert holds("params.lr < 1", record_only) is None
    assert holds("not metrics.loss > 1", record_only) is None
    assert holds("name = x and params.lr < 1", record_only) is False
    assert holds("name = digits-12 or params.lr < 1", record_only) is True
    assert holds("name = digits-12 and params.lr < 1", record_only) is None


def test_sorting_puts_types_apart_and_nothing_last_in_both_directions() -> None:
    values: list[Json] = [2, "b", None, True, 1.5, math.nan, "a", -math.inf, [1], False, math.inf]
    order = parse("order by params.v").order
    keys = [sortable(order, Facts(RECORD, {"params.v": value}, {}), NOW_US) for value in values]
    ascending = [values[i] for i in in_order(keys, order)]
    assert repr(ascending) == repr([-math.inf, 1.5, 2, math.inf, "a", "b", False, True, math.nan, None, [1]])
    falling = parse("order by params.v desc").order
    assert repr([values[i] for i in in_order(keys, falling)]) == repr(
        [math.inf, 2, 1.5, -math.inf, "b", "a", True, False, math.nan, None, [1]]
    )


def test_show_names_columns_as_a_table_of_runs_does() -> None:
    shown = parse(
        "name = a show id, created, age, duration_s, params.opt.lr, tags.`a b`, meta.name, metadata.git/commit, metrics.loss, "
        "metrics.loss.last, metrics.loss.MIN, metrics.'loss.max', metrics.loss.at(-3), metrics.loss.first, name, name limit 1"
    ).show
    assert [column.label for column in shown] == [
        "experiment_id",
        "created_at",
        "age_s",
        "duration_s",
        "params.opt.lr",
        "tags.a b",
        "metadata.name",
        "git/commit",
        "metrics.loss",
        "metrics.loss.last",
        "metrics.loss.min",
        "metrics.loss.max",
        "metrics.loss.at(-3)",
        "metrics.loss.first",
        "name",
    ]
    assert shown[8].field == shown[9].field == MetricField("loss", "last")
    assert shown[11].field == MetricField("loss.max", "last")


def test_clauses_come_in_any_order() -> None:
    one = parse("name = a order by id limit 3 show name")
    assert one == parse("name = a show name limit 3 order by id") == parse("name = a LIMIT 3 SHOW name ORDER BY id")
    assert parse("show name").where is None
