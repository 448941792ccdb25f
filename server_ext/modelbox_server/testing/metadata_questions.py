"""What every metadata store answers: the part of the conformance suite that is about ``select`` and ``count``."""

# ruff: noqa: D102 - the name of a test is its sentence

import math
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from modelbox.entities.ids import random_id
from modelbox.entities.own_keys import LONG_METADATA
from modelbox.entities.records import (
    ArtifactRecord,
    ArtifactStorage,
    ChangeEvent,
    CheckpointRecord,
    ExperimentRecord,
    Json,
    MetadataEntry,
    NamespaceRecord,
    Record,
    Status,
)
from modelbox.errors import InvalidQuery
from modelbox_server.storage.interfaces import Condition, MetadataStore, MetadataTransaction, Operator, Order
from modelbox_server.testing.metadata_samples import DAY, change, entry, experiment

__all__ = ["MetadataQuestions"]

_LAST = "\U0010ffff"
_NAMES = sorted(
    ["", " ", "%", "A", "B", "_", "a", "a%", "a_", "ab", "ab ", "a\u0301", "b", "ß", "é", "ﬁ", "\ud7ff", "\ue000", "\U0001f600", _LAST]
)
"""Sorted by code point, which is the order neither of UTF-16 nor of any language."""


class MetadataQuestions:
    """Conditions, order, pages and counts; documents."""

    def test_documents_are_the_entries_of_objects(self, store: MetadataStore) -> None:
        """Values come back exactly, whatever the keys look like."""
        values: list[Json] = [
            None, True, 2**63 - 1, 10**30, 0.1, -0.0, 5e-324, math.nan, [math.inf, {"$float": "NaN"}], {}, "", 'é"\n', "$", {"a": {"$x": 1}}
        ]  # fmt: skip
        keys = ["a.b", 'q"u\\o', "a'b", "é\U0001f600", "{}", ":", ",", "</script>", "$float", "a[0]", "x y", "=cmd", "NaN", "Z" * 500]
        entries = [entry("o", key, value) for key, value in zip(keys, values, strict=True)] + [entry("p", "a.b", "other")]
        with store.write() as tx:
            tx.put(entries)
        with store.read() as tx:
            other, nothing, mine = tx.documents(["p", "n", "o"])
            chosen = tx.documents(["o", "p"], ["a.b", "x y", "none"])
            left = tx.documents(["o", "p"], without=["a.b", "none"])
            assert tx.documents([]) == []
        assert (other, nothing) == ({"a.b": "other"}, {})
        assert {key: repr(value) for key, value in mine.items()} == {key: repr(value) for key, value in zip(keys, values, strict=True)}
        assert chosen == [{"a.b": None, "x y": mine["x y"]}, {"a.b": "other"}]
        assert [set(document) for document in left] == [set(keys) - {"a.b"}, set()]

    def test_documents_follow_every_change(self, store: MetadataStore) -> None:
        """What tables read, which is without long metadata, is what the entries say, inside a transaction and after it."""
        dice = random.Random(5)  # noqa: S311
        ids, keys = ["o", "p", "nothing", "huge"], ["a", "b", "params.lr", *LONG_METADATA]

        def same(tx: MetadataTransaction) -> bool:
            short: dict[str, dict[str, Json]] = {object_id: {} for object_id in ids}
            for found in tx.select(MetadataEntry, [Condition("key", "ne", key) for key in LONG_METADATA]):
                short[found.object_id][found.key] = found.value
            return tx.documents(ids, without=LONG_METADATA) == list(short.values())

        with store.write() as tx:
            tx.put([entry("huge", "text", "x" * 100_000), entry("huge", "a", 1)])
        for number in range(60):
            with suppress(ZeroDivisionError), store.write() as tx:
                at = [Condition("object_id", "eq", dice.choice(ids[:2])), Condition("key", "in", dice.sample(keys, 2))]
                match number % 6:
                    case 0 | 3 | 4:
                        tx.put([entry(dice.choice(ids[:2]), key, number) for key in dice.sample(keys, 3)])
                    case 1:
                        tx.delete(MetadataEntry, at)
                    case 2:
                        tx.put([entry("o", "a", "never kept")])
                        tx.delete(MetadataEntry, at)
                        assert same(tx)
                        raise ZeroDivisionError
                    case _:
                        tx.insert(entry(object_id := dice.choice(ids[:2]), f"new {number}"))
                        tx.delete(MetadataEntry, [Condition("object_id", "ne", object_id), Condition("object_id", "ne", "huge")])
                assert same(tx)
            with store.read() as tx:
                assert same(tx)

    @pytest.mark.parametrize("operator", ["eq", "ne", "lt", "le", "gt", "ge"])
    def test_text_compares_by_code_point(self, store: MetadataStore, operator: Operator) -> None:
        """Neither case nor accents nor blanks at the end are folded, and no locale has a say."""
        _put_namespaces(store, _NAMES)
        for at, name in enumerate(_NAMES):
            expected = {
                "eq": [name],
                "ne": _NAMES[:at] + _NAMES[at + 1 :],
                "lt": _NAMES[:at],
                "le": _NAMES[: at + 1],
                "gt": _NAMES[at + 1 :],
                "ge": _NAMES[at:],
            }[operator]
            assert _names(store, [Condition("name", operator, name)]) == expected

    @pytest.mark.parametrize(
        "prefix", ["", "a", "A", "ab", "a%", "a_", "%", "_", "'", "\\", _LAST, f"a{_LAST}", "\ud7ff", "\U0001f600", "zz"]
    )
    def test_a_prefix_is_literal(self, store: MetadataStore, prefix: str) -> None:
        """Wildcards and quotes stand for themselves."""
        names = sorted(
            {*_NAMES, "a'b", "'", "'; DROP TABLE namespaces; --", "\\", "a\\", f"a{_LAST}", f"a{_LAST}z", "\ud7ffx", f"{_LAST}{_LAST}"}
        )
        _put_namespaces(store, names)
        assert _names(store, [Condition("name", "prefix", prefix)]) == [name for name in names if name.startswith(prefix)]

    def test_under_a_namespace_is_itself_and_what_lies_below(self, store: MetadataStore) -> None:
        names = [
            "équipe",
            "équipe-2",
            "équipe/vision",
            "équipe/vision/a%",
            "équipe/visionär",
            "équipe0",
            "Équipe/vision",
            "équip",
            "équipe/",
            "é%",
        ]
        _put_namespaces(store, names)
        assert _names(store, [Condition("name", "under", "équipe/vision")]) == ["équipe/vision", "équipe/vision/a%"]
        assert _names(store, [Condition("name", "under", "é%")]) == ["é%"]
        assert set(_names(store, [Condition("name", "under", "équipe")])) == {
            "équipe", "équipe/", "équipe/vision", "équipe/vision/a%", "équipe/visionär",
        }  # fmt: skip

    def test_within_is_under_one_of_several_namespaces(self, store: MetadataStore) -> None:
        _put_namespaces(store, ["a", "a/b", "ab", "b", "b/c", "~é", "~é/x", "~é-2"])
        assert _names(store, [Condition("name", "within", ["a", "~é"])]) == ["a", "a/b", "~é", "~é/x"]
        assert _names(store, [Condition("name", "within", ["b/c"])]) == ["b/c"]
        assert _names(store, [Condition("name", "within", [])]) == []
        assert _names(store, [Condition("name", "within", [f"p{n}" for n in range(300)] + ["ab"]), Condition("name", "ne", "a")]) == ["ab"]

    def test_in_takes_none_one_and_very_many_values(self, store: MetadataStore) -> None:
        """Databases bound the parameters of a statement; callers need not know."""
        wanted = [f"name {number} '\"\\" for number in range(100)]
        _put_namespaces(store, [*wanted, "another"])
        assert _names(store, [Condition("name", "in", [])]) == []
        assert _names(store, [Condition("name", "in", wanted[:1])]) == wanted[:1]
        assert _names(store, [Condition("name", "in", [*wanted, *wanted, *(f"absent {n}" for n in range(40_000))])]) == sorted(wanted)

    def test_every_condition_must_hold(self, store: MetadataStore) -> None:
        records = [experiment("a", status=Status.FAILED), experiment("b", status=Status.FAILED), experiment("a")]
        _put(store, records)
        conditions = [Condition("name", "eq", "a"), Condition("status", "eq", Status.FAILED)]
        with store.read() as tx:
            assert tx.select(ExperimentRecord, conditions) == records[:1]
            assert tx.count(ExperimentRecord, conditions) == 1
            assert tx.count(ExperimentRecord) == 3
            assert tx.select(ExperimentRecord, [Condition("status", "in", [Status.FAILED, Status.FINISHED])], limit=0) == []

    def test_a_total_is_over_what_meets_the_conditions(self, store: MetadataStore) -> None:
        """What is not set counts nothing, and nothing at all makes 0."""
        sizes = {"a": 2**50, "b": 7, "c": None, "d": 1}
        _put(store, [_artifact(name, size_bytes) for name, size_bytes in sizes.items()])
        with store.read() as tx:
            assert tx.total(ArtifactRecord, "size_bytes") == 2**50 + 8
            assert tx.total(ArtifactRecord, "size_bytes", [Condition("name", "in", ["b", "c"])]) == 7
            assert tx.total(ArtifactRecord, "size_bytes", [Condition("name", "eq", "none")]) == 0

    def test_none_is_not_set(self, store: MetadataStore) -> None:
        """A field that is not set equals ``None``, differs from every value, and is neither less nor greater than any."""
        child, root = experiment("child", parent_id="f" * 40), experiment("root")
        _put(store, [child, root])
        expected = [
            (Condition("parent_id", "eq", None), {"root"}),
            (Condition("parent_id", "ne", None), {"child"}),
            (Condition("parent_id", "ne", "f" * 40), {"root"}),
            (Condition("parent_id", "ne", "e" * 40), {"root", "child"}),
            (Condition("parent_id", "ge", ""), {"child"}),
            (Condition("parent_id", "lt", "g"), {"child"}),
            (Condition("parent_id", "prefix", ""), {"child"}),
            (Condition("parent_id", "in", ["f" * 40]), {"child"}),
            (Condition("finished_at", "le", DAY), set()),
        ]
        with store.read() as tx:
            for condition, names in expected:
                assert {record.name for record in tx.select(ExperimentRecord, [condition])} == names, condition

    def test_times_and_numbers_compare_by_value(self, store: MetadataStore) -> None:
        parent = random_id()
        checkpoints = [
            CheckpointRecord(
                id=random_id(), experiment_id=parent, epoch=epoch, created_at=DAY + timedelta(microseconds=epoch), updated_at=DAY
            )
            for epoch in (9, 10, 100)
        ]
        _put(store, checkpoints)
        later = Condition("epoch", "gt", 9)
        before = Condition("created_at", "lt", DAY + timedelta(microseconds=100))
        with store.read() as tx:
            assert tx.select(CheckpointRecord, [later], order=Order("epoch")) == checkpoints[1:]
            assert tx.select(CheckpointRecord, [before], order=Order("created_at", descending=True)) == checkpoints[1::-1]

    @pytest.mark.parametrize(
        ("kind", "condition"),
        [
            (ExperimentRecord, Condition("loss", "eq", 1)),
            (ExperimentRecord, Condition("name; DROP TABLE experiments", "eq", "a")),
            (ExperimentRecord, Condition("name", "lt", None)),
            (ExperimentRecord, Condition("name", "eq", 7)),
            (ExperimentRecord, Condition("name", "eq", "lone \ud800")),
            (ExperimentRecord, Condition("name", "eq", "nul \0")),
            (ExperimentRecord, Condition("name", "in", "abc")),
            (ExperimentRecord, Condition("name", "in", [None])),
            (ExperimentRecord, Condition("created_at", "gt", DAY.replace(tzinfo=None))),
            (ExperimentRecord, Condition("created_at", "prefix", "2026")),
            (ChangeEvent, Condition("seq", "gt", 2**63)),
            (ChangeEvent, Condition("seq", "eq", True)),
            (MetadataEntry, Condition("value", "eq", 1)),
        ],
    )
    def test_a_question_that_makes_no_sense_is_refused(self, store: MetadataStore, kind: type[Record], condition: Condition) -> None:
        with store.read() as tx:
            with pytest.raises(InvalidQuery):
                tx.select(kind, [condition])
            with pytest.raises(InvalidQuery):
                tx.count(kind, [condition])

    def test_records_come_by_primary_key_unless_asked_otherwise(self, store: MetadataStore) -> None:
        ids = sorted(random_id() for _ in range(3))
        entries = [entry(object_id, key) for object_id in ids for key in ("A", "a", "é")]
        _put(store, random.Random(7).sample(entries, len(entries)))  # noqa: S311
        with store.read() as tx:
            assert tx.select(MetadataEntry) == entries
            assert tx.select(MetadataEntry, limit=4) == entries[:4]
            assert tx.select(MetadataEntry, after=(ids[0], "é")) == entries[3:]
            assert tx.select(MetadataEntry, after=(ids[0], "b"), limit=2) == entries[2:4]

    def test_keys_are_those_of_what_is_selected(self, store: MetadataStore) -> None:
        """In the same order, by the same conditions and pages."""
        records = [experiment("aAé"[number % 3], created_s=number % 4) for number in range(11)]
        _put(store, records)
        _put(store, [entry(object_id, key) for object_id in "op" for key in ("A", "a", "é")])
        newest = Order("created_at", descending=True)
        named = [Condition("name", "in", ["a", "é"])]
        with store.read() as tx:
            assert tx.keys(ExperimentRecord) == [(record.id,) for record in tx.select(ExperimentRecord)]
            first = tx.select(ExperimentRecord, named, order=newest, limit=3)
            assert tx.keys(ExperimentRecord, named, order=newest, limit=3) == [(record.id,) for record in first]
            after = [first[-1].created_at, first[-1].id]
            rest = tx.select(ExperimentRecord, named, order=newest, after=after)
            assert tx.keys(ExperimentRecord, named, order=newest, after=after) == [(record.id,) for record in rest]
            assert tx.keys(MetadataEntry, after=("o", "a"), limit=2) == [("o", "é"), ("p", "A")]
            with pytest.raises(InvalidQuery):
                tx.keys(ExperimentRecord, [Condition("loss", "eq", 1)])

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("field", ["created_at", "name", "id", "finished_at", "parent_id"])
    @pytest.mark.parametrize("limit", [1, 3, 100])
    def test_pages_neither_repeat_nor_skip(self, store: MetadataStore, field: str, limit: int, descending: bool) -> None:
        """Ties are broken by the key in the same direction; what is not set comes before everything that is."""
        records = [
            experiment(
                "aAé"[number % 3],
                created_s=number % 4,
                finished_at=None if number % 2 else DAY + timedelta(microseconds=number % 3),
                parent_id=[None, "0" * 40, "f" * 40][number % 3],
            )
            for number in range(11)
        ]
        _put(store, records)
        expected = sorted(records, key=lambda record: _rank(record, field), reverse=descending)
        seen: list[ExperimentRecord] = []
        with store.read() as tx:
            page = tx.select(ExperimentRecord, order=Order(field, descending), limit=limit)
            while page:
                seen += page
                after = (getattr(page[-1], field), page[-1].id)
                page = tx.select(ExperimentRecord, order=Order(field, descending), limit=limit, after=after)
        assert seen == expected

    def test_a_page_goes_on_where_its_last_record_was_deleted(self, store: MetadataStore) -> None:
        records = [experiment(created_s=number) for number in range(6)]
        _put(store, records)
        order = Order("created_at", descending=True)
        with store.write() as tx:
            first = tx.select(ExperimentRecord, order=order, limit=2)
            tx.delete(ExperimentRecord, [Condition("id", "eq", first[-1].id)])
            tx.insert(experiment("newest", created_s=99))
        with store.read() as tx:
            after = (first[-1].created_at, first[-1].id)
            assert tx.select(ExperimentRecord, order=order, after=after) == records[3::-1]

    def test_pages_hold_conditions_too(self, store: MetadataStore) -> None:
        with store.write() as tx:
            for number in range(10):
                tx.insert(change("even" if number % 2 == 0 else "odd"))
        mine = [Condition("object_id", "eq", "even")]
        with store.read() as tx:
            every = [event.seq for event in tx.select(ChangeEvent, mine, order=Order("seq"))]
            assert every == sorted(every)
            rest = tx.select(ChangeEvent, mine, order=Order("seq"), after=(every[1], every[1]), limit=2)
            assert [event.seq for event in rest] == every[2:4]

    @pytest.mark.parametrize(
        ("order", "after"), [(None, ()), (None, ("a", "b")), (Order("created_at"), ("id only",)), (Order("created_at"), (None, "id"))]
    )
    def test_a_position_that_does_not_fit_the_order_is_refused(
        self, store: MetadataStore, order: Order | None, after: Sequence[object]
    ) -> None:
        with store.read() as tx, pytest.raises(InvalidQuery):
            tx.select(ExperimentRecord, order=order, after=after)

    def test_json_cannot_be_sorted_by(self, store: MetadataStore) -> None:
        with store.read() as tx, pytest.raises(InvalidQuery):
            tx.select(MetadataEntry, order=Order("value"))

    def test_nullable_numbers_sort_with_the_unset_first(self, store: MetadataStore) -> None:
        sizes = [None, 0, 9, 10]
        made = [
            ArtifactRecord(
                id=random_id(),
                parent_id="p",
                namespace="n",
                name=str(size),
                storage=ArtifactStorage.TRACKED,
                size_bytes=size,
                created_at=DAY,
                updated_at=DAY,
            )
            for size in sizes
        ]
        _put(store, made)
        with store.read() as tx:
            assert [record.size_bytes for record in tx.select(ArtifactRecord, order=Order("size_bytes"))] == sizes


def _put(store: MetadataStore, records: Sequence[Record]) -> None:
    with store.write() as tx:
        tx.put(records)


def _put_namespaces(store: MetadataStore, names: Sequence[str]) -> None:
    _put(store, [NamespaceRecord(name=name, created_at=DAY) for name in reversed(names)])


def _names(store: MetadataStore, where: Sequence[Condition]) -> list[str]:
    with store.read() as tx:
        names = [record.name for record in tx.select(NamespaceRecord, where)]
        assert tx.count(NamespaceRecord, where) == len(names)
    return names


def _rank(record: ExperimentRecord, field: str) -> tuple[object, ...]:
    value = getattr(record, field)
    return (value is not None, value, record.id)


def _artifact(name: str, size_bytes: int | None) -> ArtifactRecord:
    return ArtifactRecord(
        id=random_id(),
        parent_id=random_id(),
        namespace="ns",
        name=name,
        storage=ArtifactStorage.UPLOADED,
        size_bytes=size_bytes,
        created_at=DAY,
        updated_at=DAY,
    )
