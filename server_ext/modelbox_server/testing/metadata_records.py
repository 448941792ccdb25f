"""What every metadata store does with single records: the part of the conformance suite about ``insert``, ``put`` and ``delete``."""

# ruff: noqa: D102 - the name of a test is its sentence

import math

import msgspec
import pytest

from modelbox.entities.ids import random_id
from modelbox.entities.records import (
    ChangeEvent,
    CheckpointRecord,
    ExperimentRecord,
    Json,
    MetadataEntry,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    Record,
    Status,
)
from modelbox.errors import Conflict, InvalidRequest
from modelbox_server.storage.interfaces import Condition, MetadataStore, MetadataTransaction, Order
from modelbox_server.storage.schema import TABLES
from modelbox_server.testing.metadata_samples import DAY, change, entry, experiment, model, one_of_each

__all__ = ["MetadataRecords"]

_JSON: list[Json] = [
    None, True, False, 0, 1, 1.0, -0.0, 2**53 + 1, 2**63 - 1, -(2**63), 1e16, 0.1, 5e-324, 1.7976931348623157e308,
    math.nan, math.inf, -math.inf, "", "NaN", "null", "é\n\t\"'\\ \N{GRINNING FACE}", "nul \0 inside", [], {},
    [1, 1.0, [math.nan, {"": None}]], {"b": 1, "a": {"$float": "NaN"}}, {"$float": "NaN"}, {"$plain": {"$float": math.inf}}, {"$plain": 7},
]  # fmt: skip


class MetadataRecords:
    """Records come back as they went in, unique fields are unique, change events are numbered."""

    @pytest.mark.parametrize("record", one_of_each(), ids=lambda record: type(record).__name__)
    def test_every_record_comes_back_as_it_went_in(self, store: MetadataStore, record: Record) -> None:
        kind = type(record)
        key = [getattr(record, field) for field in kind.KEY]
        with store.write() as tx:
            assert tx.get(kind, *key) is None
            assert tx.insert(record) == record
            assert tx.get(kind, *key) == record
        with store.read() as tx:
            assert tx.get(kind, *key) == record
            assert tx.select(kind) == [record]

    def test_the_samples_cover_every_kind(self) -> None:
        assert {type(record) for record in one_of_each()} | {ChangeEvent} == set(TABLES)

    @pytest.mark.parametrize("value", _JSON, ids=repr)
    def test_json_is_exact(self, store: MetadataStore, value: Json) -> None:
        """Integers stay integers, floats stay floats, NaN and infinities stay themselves, key order included."""
        with store.write() as tx:
            tx.insert(entry("o", "inserted", value))
            tx.put([entry("o", "put", value), entry("o", "nested", {"deep": [value]})])
        with store.read() as tx:
            found = {row.key: row.value for row in tx.select(MetadataEntry)}
        # Equality would call 1 and 1.0, or 0.0 and -0.0, the same, and NaN different from itself.
        assert repr(found) == repr({"inserted": value, "nested": {"deep": [value]}, "put": value})

    def test_nobody_changes_a_stored_value_from_outside(self, store: MetadataStore) -> None:
        mine = [1]
        with store.write() as tx:
            tx.insert(entry("o", "k", mine)).value.append(2)
        mine.append(3)
        with store.read() as tx:
            tx.select(MetadataEntry)[0].value.append(4)
        with store.read() as tx:
            assert [row.value for row in tx.select(MetadataEntry)] == [[1]]

    def test_long_names_are_kept_whole(self, store: MetadataStore) -> None:
        """As long as names may be, in the widest characters, and different at the very end only."""
        names = ["\N{GRINNING FACE}" * 511 + last for last in "ab"]
        with store.write() as tx:
            for name in names:
                tx.insert(NamespaceRecord(name=name, created_at=DAY))
                tx.insert(model(name, name))
                tx.insert(entry("f" * 40, name))
                tx.insert(experiment(name, owner="é" * 1000, external_id="x" * 1000))
        with store.read() as tx:
            assert [row.name for row in tx.select(NamespaceRecord)] == names
            assert [row.key for row in tx.select(MetadataEntry)] == names
            assert tx.select(ModelRecord, [Condition("name", "eq", names[1])])[0].namespace == names[1]
            assert {len(row.owner) for row in tx.select(ExperimentRecord)} == {1000}

    @pytest.mark.parametrize("text", ["nul \0", "lone \udc80"])
    def test_text_that_no_database_keeps_is_refused(self, store: MetadataStore, text: str) -> None:
        good = experiment()
        with store.write() as tx:
            tx.insert(good)
            with pytest.raises(InvalidRequest):
                tx.insert(experiment(text))
            with pytest.raises(InvalidRequest):
                tx.put([experiment("fine"), experiment(text)])
        with store.read() as tx:
            assert tx.select(ExperimentRecord) == [good]

    def test_a_conflict_leaves_the_transaction_usable(self, store: MetadataStore) -> None:
        first = experiment("first")
        with store.write() as tx:
            tx.insert(first)
            with pytest.raises(Conflict, match=first.id):
                tx.insert(experiment("second", record_id=first.id))
            other = tx.insert(experiment("other"))
            assert tx.count(ExperimentRecord) == 2
        with store.read() as tx:
            assert tx.get(ExperimentRecord, first.id) == first
            assert tx.get(ExperimentRecord, other.id) == other

    def test_unique_fields_are_unique(self, store: MetadataStore) -> None:
        asr = model("asr", "a/b")
        version = ModelVersionRecord(
            id=random_id(), model_id=asr.id, namespace="a/b", version="1", name="july", created_at=DAY, updated_at=DAY
        )
        checkpoint = CheckpointRecord(id=random_id(), experiment_id="e", epoch=0, created_at=DAY, updated_at=DAY)
        with store.write() as tx:
            for record in (asr, version, checkpoint):
                twin = msgspec.structs.replace(record, id=random_id())
                tx.insert(record)
                with pytest.raises(Conflict):
                    tx.insert(twin)
                with pytest.raises(Conflict):
                    tx.put([twin])
                assert tx.select(type(record)) == [record]
                tx.put([record])
            # What reads the same when run together is not the same.
            tx.insert(model("asra", "/b"))
            tx.insert(model("as", "ra/b"))
            tx.insert(model("ASR", "a/b"))
            assert tx.count(ModelRecord) == 4

    def test_a_deleted_record_frees_its_unique_fields(self, store: MetadataStore) -> None:
        with store.write() as tx:
            old = tx.insert(model())
            assert tx.delete(ModelRecord, [Condition("id", "eq", old.id)]) == 1
            tx.insert(model())
            moved = msgspec.structs.replace(tx.select(ModelRecord)[0], name="renamed")
            tx.put([moved])
            tx.insert(model())
        with store.read() as tx:
            assert sorted(record.name for record in tx.select(ModelRecord)) == ["asr_en", "renamed"]

    def test_experiments_may_share_a_name(self, store: MetadataStore) -> None:
        with store.write() as tx:
            tx.insert(experiment("same"))
            tx.insert(experiment("same"))
            assert tx.count(ExperimentRecord) == 2

    def test_put_adds_and_replaces(self, store: MetadataStore) -> None:
        with store.write() as tx:
            tx.put([])
            tx.put([entry("o", "a", 1), entry("o", "b", 2)])
            tx.put([entry("o", "b", [3]), entry("o", "B", 4), entry("p", "b", 5)])
        with store.read() as tx:
            assert [(row.object_id, row.key, row.value) for row in tx.select(MetadataEntry)] == [
                ("o", "B", 4), ("o", "a", 1), ("o", "b", [3]), ("p", "b", 5),
            ]  # fmt: skip

    def test_the_last_of_two_puts_of_one_key_counts(self, store: MetadataStore) -> None:
        with store.write() as tx:
            tx.put([entry("o", "a", number) for number in range(3)])
            assert [row.value for row in tx.select(MetadataEntry)] == [2]

    def test_a_put_that_conflicts_changes_nothing(self, store: MetadataStore) -> None:
        with store.write() as tx:
            taken = tx.insert(model("taken"))
            with pytest.raises(Conflict):
                tx.put([model("free"), model("taken")])
            with pytest.raises(Conflict):
                tx.put([model("twins"), model("twins")])
            assert tx.select(ModelRecord) == [taken]

    def test_put_can_change_every_field(self, store: MetadataStore) -> None:
        before = experiment("before")
        after = experiment("after", record_id=before.id, created_s=5, status=Status.FINISHED, finished_at=DAY, parent_id="f" * 40)
        with store.write() as tx:
            tx.insert(before)
            tx.put([after])
            assert tx.select(ExperimentRecord) == [after]
            assert tx.select(ExperimentRecord, [Condition("parent_id", "eq", None)]) == []
            tx.put([before])
        with store.read() as tx:
            assert tx.select(ExperimentRecord) == [before]

    def test_delete_says_how_many_there_were(self, store: MetadataStore) -> None:
        with store.write() as tx:
            tx.put([entry("o", key) for key in ("params.lr", "params.%", "paramsX", "tags.a")])
            assert tx.delete(MetadataEntry, [Condition("object_id", "eq", "o"), Condition("key", "prefix", "params.")]) == 2
            assert tx.delete(MetadataEntry, [Condition("object_id", "eq", "p")]) == 0
            assert tx.delete(MetadataEntry, [Condition("key", "in", ["tags.a", "tags.b"])]) == 1
            assert [row.key for row in tx.select(MetadataEntry)] == ["paramsX"]
            assert tx.delete(MetadataEntry, []) == 1
            assert tx.count(MetadataEntry) == 0

    def test_change_events_are_numbered_upwards(self, store: MetadataStore) -> None:
        """Whatever number the caller gave; also across transactions, deletions and failures."""
        with store.write() as tx:
            first = [tx.insert(change("a")), tx.insert(msgspec.structs.replace(change("b"), seq=1)), tx.insert(change("a"))]
        with pytest.raises(Conflict), store.write() as tx:
            _insert_twice(tx, change("lost"), experiment())
        with store.write() as tx:
            assert tx.delete(ChangeEvent, [Condition("seq", "ge", first[1].seq)]) == 2
        with store.write() as tx:
            last = tx.insert(change("c"))
        assert 0 < first[0].seq < first[1].seq < first[2].seq < last.seq
        with store.read() as tx:
            assert tx.select(ChangeEvent) == [first[0], last]
            assert tx.get(ChangeEvent, last.seq) == last
            assert tx.select(ChangeEvent, order=Order("seq"), after=(first[0].seq, first[0].seq)) == [last]

    def test_put_numbers_change_events_that_have_no_number(self, store: MetadataStore) -> None:
        with store.write() as tx:
            kept = tx.insert(change("a"))
            tx.put([change("b"), msgspec.structs.replace(kept, actor="corrected"), change("c")])
            events = tx.select(ChangeEvent)
        assert [event.actor for event in events] == ["corrected", "Zoë", "Zoë"]
        assert events[0].seq < events[1].seq < events[2].seq


def _insert_twice(tx: MetadataTransaction, first: Record, twin: Record) -> None:
    for record in (first, twin, twin):
        tx.insert(record)
