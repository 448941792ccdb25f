"""What every metrics store promises, as tests.

Subclass the suite and provide the ``store`` fixture::

    class TestMyMetrics(MetricsStoreSuite):
        @pytest.fixture
        def store(self) -> MetricsStore:
            return MyMetricsStore(...)

A store that keeps points beyond the process provides ``reopen`` as well.
"""

from __future__ import annotations

import math
import random
import struct
import threading
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, cast

import numpy as np
import pytest

from modelbox.entities.series import SeriesBlock, SeriesSummary, ValueKind
from modelbox.errors import BatchConflict, InvalidRequest
from modelbox_server.storage.interfaces import AppendOutcome, BatchKey, MetricsStore

__all__ = ["MetricsStoreSuite", "Point", "Reopen", "block", "points_of", "same_bits"]

Value: TypeAlias = float | str | bytes
Point: TypeAlias = tuple[int, int, Value]
"""Step, wall clock in microseconds, value."""

Reopen: TypeAlias = Callable[[MetricsStore], MetricsStore]

RUN = "a" * 40
OTHER = "b" * 40
LOSS = "val/loss @1"
EXTREME_STEPS = [2**63 - 1, -(2**63), 0, 7, 7, -1]
HOSTILE_FLOATS = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -5e-324, 1e308, 1.7976931348623157e308, 0.1, 2.0**53 + 2, 16777217.0]


def block(points: Sequence[Point], *, object_id: str = RUN, key: str = LOSS, kind: ValueKind = ValueKind.FLOAT) -> SeriesBlock:
    """Return `points` as a block of one series."""
    values = [value for _, _, value in points]
    return SeriesBlock(
        object_id=object_id,
        key=key,
        kind=kind,
        steps=array("q", [step for step, _, _ in points]),
        wall_times_us=array("q", [clock_us for _, clock_us, _ in points]),
        values=array("d", cast("list[float]", values)) if kind is ValueKind.FLOAT else cast("list[str]", values),
    )


def floats(*values: float, start: int = 0) -> list[Point]:
    """Return one point per value, at the steps from `start`."""
    return [(start + index, 1_700_000_000_000_000 + index, value) for index, value in enumerate(values)]


def _random_value(dice: random.Random, kind: ValueKind) -> Value:
    match kind:
        case ValueKind.FLOAT:
            return dice.choice(HOSTILE_FLOATS)
        case ValueKind.TEXT:
            return dice.choice(["", "x", "é\n"])
        case ValueKind.BYTES:
            return b"x"


def points_of(found: SeriesBlock) -> list[Point]:
    """Return the points of a block that a store returned."""
    steps, clocks_us = (memoryview(column).cast("B").cast("q").tolist() for column in (found.steps, found.wall_times_us))
    values = found.values if isinstance(found.values, list) else memoryview(cast("bytes", found.values)).cast("B").cast("d").tolist()
    return list(zip(steps, clocks_us, values, strict=True))


def same_bits(points: Sequence[Point]) -> list[tuple[int, int, object]]:
    """Return points in a form that compares equal only if every bit is equal (all NaN are one)."""
    return [
        (step, clock_us, value if not isinstance(value, float) else "NaN" if math.isnan(value) else struct.pack("<d", value))
        for step, clock_us, value in points
    ]


def in_order(points: Sequence[Point]) -> list[Point]:
    """Return points as a reader must get them."""
    return sorted(points, key=lambda point: point[:2])


class MetricsStoreSuite:
    """The promises of :class:`modelbox_server.storage.interfaces.MetricsStore`."""

    @pytest.fixture
    def store(self) -> MetricsStore:
        """Return an empty store."""
        raise NotImplementedError("Provide the fixture 'store' in your subclass.")

    @pytest.fixture
    def reopen(self) -> Reopen:
        """Return a function that closes a store and opens it again on the same data; leave it out if nothing outlives the process."""
        pytest.skip("this store keeps nothing beyond the process")

    def read_one(self, store: MetricsStore, *, object_id: str = RUN, key: str = LOSS, skip: int = 0) -> list[Point]:
        """Return the points of the only series of (object, key)."""
        found = store.read([object_id], [key], skip={(object_id, key): skip} if skip else None)
        assert len(found) <= 1
        return points_of(found[0]) if found else []

    # --- values --------------------------------------------------------------------------------------------------------------------------

    def test_every_float_comes_back_bit_for_bit(self, store: MetricsStore) -> None:
        """NaN, infinities, -0.0, denormals and the greatest numbers are values like any other."""
        written = floats(*HOSTILE_FLOATS)
        store.append([block(written)])
        assert same_bits(self.read_one(store)) == same_bits(written)

    @pytest.mark.parametrize("value", HOSTILE_FLOATS, ids=repr)
    def test_a_constant_series_of_any_float_comes_back(self, store: MetricsStore, value: float) -> None:
        """Constants are what a store is tempted to compress."""
        written = floats(*[value] * 300)
        store.append([block(written)])
        assert same_bits(self.read_one(store)) == same_bits(written)

    def test_numbers_of_every_precision_come_back_bit_for_bit(self, store: MetricsStore) -> None:
        """Random bits, numbers of single precision, and integers on both sides of 2**53."""
        dice = random.Random(3)  # noqa: S311
        for key, values in {
            "bits": struct.unpack("<2000d", dice.randbytes(16_000)),
            "single": struct.unpack("<2000f", dice.randbytes(8000)),
            "integer": [float(dice.randint(-(2**60), 2**60)) for _ in range(2000)],
        }.items():
            written = floats(*values)
            store.append([block(written, key=key)])
            assert same_bits(self.read_one(store, key=key)) == same_bits(written)

    def test_steps_and_clocks_of_all_64_bits_come_back(self, store: MetricsStore) -> None:
        """Nothing is clamped, and differences between extremes do not overflow."""
        written: list[Point] = [(step, -step - 1, float(index)) for index, step in enumerate(EXTREME_STEPS)]
        store.append([block(written)])
        assert self.read_one(store) == in_order(written)

    def test_texts_and_bytes_come_back_as_they_were(self, store: MetricsStore) -> None:
        """Empty ones, NUL and characters beyond the basic plane included."""
        texts: list[Point] = [(index, 0, text) for index, text in enumerate(["", "NaN", "a\0b", "équipe 🚀", "x" * 100_000])]
        binaries: list[Point] = [(index, 0, content) for index, content in enumerate([b"", b"\0\xff", bytes(range(256)) * 50])]
        store.append([block(texts, key="note", kind=ValueKind.TEXT), block(binaries, key="image", kind=ValueKind.BYTES)])
        assert self.read_one(store, key="note") == texts
        assert self.read_one(store, key="image") == binaries

    def test_a_lone_surrogate_is_refused_and_nothing_is_written(self, store: MetricsStore) -> None:
        """It is no text that another program could read."""
        with pytest.raises(InvalidRequest, match="lone surrogate"):
            store.append([block(floats(1.0)), block([(0, 0, "\ud800")], kind=ValueKind.TEXT)])
        assert store.read([RUN]) == []

    def test_columns_of_different_length_are_refused_and_nothing_is_written(self, store: MetricsStore) -> None:
        """All of the points or none."""
        broken = SeriesBlock(object_id=RUN, key="k", steps=array("q", [1, 2]), wall_times_us=array("q", [1]), values=array("d", [1.0]))
        with pytest.raises(InvalidRequest, match="2 steps, 1 wall clocks and 1 values"):
            store.append([block(floats(1.0)), broken])
        assert store.read([RUN]) == []

    def test_every_kind_under_one_key_is_a_series_of_its_own(self, store: MetricsStore) -> None:
        """They are returned in the order float, text, bytes."""
        store.append([block([(0, 0, b"x")], kind=ValueKind.BYTES), block([(0, 0, "x")], kind=ValueKind.TEXT), block(floats(1.0))])
        assert [found.kind for found in store.read([RUN])] == list(ValueKind)
        assert [found.kind for found in store.summaries([RUN])] == list(ValueKind)

    # --- order ---------------------------------------------------------------------------------------------------------------------------

    def test_points_come_back_in_step_order(self, store: MetricsStore) -> None:
        """Writers may be late; readers never see it."""
        store.append([block([(2, 0, 2.0), (1, 0, 1.0)])])
        store.append([block([(0, 0, 0.0)])])
        assert self.read_one(store) == [(0, 0, 0.0), (1, 0, 1.0), (2, 0, 2.0)]

    def test_points_of_one_step_come_by_wall_clock_then_in_order_of_arrival(self, store: MetricsStore) -> None:
        """Repeats are kept, equal ones included; a clock that jumps back orders them too."""
        written: list[Point] = [(1, 50, 1.0), (1, 10, 2.0), (1, 50, 3.0), (0, 99, 4.0), (1, 50, 1.0)]
        for point in written:
            store.append([block([point])])
        assert self.read_one(store) == [(0, 99, 4.0), (1, 10, 2.0), (1, 50, 1.0), (1, 50, 3.0), (1, 50, 1.0)]

    def test_series_come_by_object_as_asked_then_by_key(self, store: MetricsStore) -> None:
        """An object that is asked for twice, or that has nothing, changes nothing."""
        for object_id in (RUN, OTHER):
            store.append([block(floats(1.0), object_id=object_id, key=key) for key in ("loss", "Loss", "é", "acc")])
        found = store.read([OTHER, RUN, "nothing", OTHER])
        assert [(one.object_id, one.key) for one in found] == [(id_, key) for id_ in (OTHER, RUN) for key in ("Loss", "acc", "loss", "é")]

    def test_keys_that_differ_in_case_accent_or_blanks_inside_are_different(self, store: MetricsStore) -> None:
        """No collation of a database makes them one."""
        keys = ["loss", "LOSS", "los s", "löss", "loss\u0301"]
        store.append([block(floats(float(index)), key=key) for index, key in enumerate(keys)])
        assert {one.key: points_of(one)[0][2] for one in store.read([RUN])} == {key: float(index) for index, key in enumerate(keys)}

    def test_only_the_keys_that_are_asked_for_are_read(self, store: MetricsStore) -> None:
        """A thousand other series do not matter."""
        store.append([block(floats(1.0), key=f"k{index}") for index in range(1000)])
        assert [one.key for one in store.read([RUN], ["k7", "k500", "none"])] == ["k500", "k7"]
        assert store.read([RUN], []) == []
        assert [one.key for one in store.summaries([RUN], ["k7", "k500", "none"])] == ["k500", "k7"]
        assert store.summaries([RUN], []) == []

    def test_many_objects_and_keys_are_read_at_once(self, store: MetricsStore) -> None:
        """More than the parameters that a database takes in one statement."""
        ids = [f"{index:040x}" for index in range(1200)]
        store.append([block(floats(1.0), object_id=object_id) for object_id in ids])
        assert [one.object_id for one in store.read(ids[::-1], [LOSS, *(f"k{index}" for index in range(1000))])] == ids[::-1]
        assert len(store.summaries(ids)) == len(ids)

    # --- skip ----------------------------------------------------------------------------------------------------------------------------

    def test_skip_leaves_out_what_arrived_first(self, store: MetricsStore) -> None:
        """Followers ask for what is new, even if it belongs before what they have."""
        store.append([block([(5, 0, 5.0), (6, 0, 6.0)])])
        store.append([block([(1, 0, 1.0), (0, 0, 0.0)])])
        assert self.read_one(store, skip=2) == [(0, 0, 0.0), (1, 0, 1.0)]
        assert self.read_one(store, skip=3) == [(0, 0, 0.0)]

    def test_a_follower_that_has_everything_gets_no_block(self, store: MetricsStore) -> None:
        """Also one that claims to have more than there is."""
        store.append([block(floats(1.0))])
        assert store.read([RUN], skip={(RUN, LOSS): 1}) == []
        assert store.read([RUN], skip={(RUN, LOSS): 10**12}) == []

    def test_a_follower_sees_every_point_once(self, store: MetricsStore) -> None:
        """Through thousands of small appends, which a store packs together as it likes."""
        dice = random.Random(5)  # noqa: S311
        written: list[Point] = []
        seen: list[Point] = []
        for _ in range(150):
            points: list[Point] = [(dice.randint(0, 50), dice.randint(0, 3), dice.random()) for _ in range(dice.choice([1, 2, 40, 700]))]
            written += points
            store.append([block(points)])
            if dice.random() < 0.4:
                seen += self.read_one(store, skip=len(seen))
        seen += self.read_one(store, skip=len(seen))
        assert sorted(seen) == sorted(written)
        assert self.read_one(store) == in_order(written)

    # --- steps ---------------------------------------------------------------------------------------------------------------------------

    def test_only_the_steps_that_are_asked_for_are_read(self, store: MetricsStore) -> None:
        """Both ends included, wherever the points lie in order of arrival; a series without any of them gives no block."""
        dice = random.Random(13)  # noqa: S311
        written: list[Point] = []
        for size in (1, 9000, 3, 2000, 700, 1):
            points: list[Point] = [(dice.randint(-40, 40), dice.randint(0, 3), dice.random()) for _ in range(size)]
            written += points
            store.append([block(points), block([(100, 0, "far")], key="note", kind=ValueKind.TEXT)])
        for first, last in ((-40, 40), (-3, 3), (7, 7), (39, 2**63 - 1), (-(2**63), -39)):
            found = store.read([RUN], steps=(first, last))
            expected = [point for point in in_order(written) if first <= point[0] <= last]
            assert [(one.key, points_of(one)) for one in found if one.key == LOSS] == [(LOSS, expected)]
            assert [len(one) for one in found if one.key == "note"] == ([6] if last >= 100 else [])
        assert store.read([RUN], steps=(41, 99)) == []

    def test_steps_in_order_are_cut_exactly(self, store: MetricsStore) -> None:
        """Beside chunks, in the middle of them, and beyond the ends."""
        store.append([block(floats(*range(30_000)))])
        for first, last in ((0, 0), (8191, 8192), (10_000, 10_003), (29_999, 10**9), (-5, -1), (16_384, 24_576)):
            found = store.read([RUN], [LOSS], steps=(first, last))
            expected = [float(step) for step in range(max(0, first), min(29_999, last) + 1)]
            assert [value for one in found for _, _, value in points_of(one)] == expected

    def test_steps_with_gaps_are_cut_exactly(self, store: MetricsStore) -> None:
        """As long as every point comes later than all before, and after one that did not."""
        steps = [*range(-30, 0, 7), *range(4000), 4001, 4003, 5000, *range(10_000, 90_000, 100)]
        written: list[Point] = [(step, 0, float(step)) for step in steps]
        for begin in range(0, len(written), 900):
            store.append([block(written[begin : begin + 900])])
        for late in (None, (4002, 0, 4002.0), (90_000, 0, 1.0)):
            if late is not None:
                store.append([block([late])])
                written.append(late)
            for first, last in (
                (-30, -30),
                (-29, -24),
                (0, 3),
                (3999, 4003),
                (4002, 4002),
                (5001, 9999),
                (10_050, 10_200),
                (89_900, 10**9),
            ):
                found = [point for one in store.read([RUN], [LOSS], steps=(first, last)) for point in points_of(one)]
                assert found == [point for point in in_order(written) if first <= point[0] <= last]

    def test_steps_and_skip_go_together(self, store: MetricsStore) -> None:
        """First what arrived is left out, then what lies elsewhere."""
        store.append([block([(5, 0, 5.0), (6, 0, 6.0)])])
        store.append([block([(1, 0, 1.0), (5, 1, 5.5)])])
        assert [points_of(one) for one in store.read([RUN], skip={(RUN, LOSS): 1}, steps=(5, 6))] == [[(5, 1, 5.5), (6, 0, 6.0)]]
        assert store.read([RUN], skip={(RUN, LOSS): 2}, steps=(6, 6)) == []

    # --- batches -------------------------------------------------------------------------------------------------------------------------

    def test_the_same_batch_again_changes_nothing(self, store: MetricsStore) -> None:
        """However often it is sent."""
        batch = BatchKey("équipe/client", 1, b"d" * 32)
        assert store.append([block(floats(1.0, 2.0))], batch) == AppendOutcome(2)
        for _ in range(3):
            assert store.append([block(floats(1.0, 2.0))], batch) == AppendOutcome(2, duplicate=True)
        assert len(self.read_one(store)) == 2
        assert store.summaries([RUN])[0].count == 2

    def test_a_batch_number_with_other_content_is_a_conflict(self, store: MetricsStore) -> None:
        """Nothing of it is written."""
        store.append([block(floats(1.0))], BatchKey("c", 1, b"d" * 32))
        with pytest.raises(BatchConflict, match="Batch 1 of client 'c'"):
            store.append([block(floats(2.0)), block(floats(1.0), key="new")], BatchKey("c", 1, b"e" * 32))
        assert [points_of(one) for one in store.read([RUN])] == [floats(1.0)]

    def test_batches_are_told_apart_by_client_and_number(self, store: MetricsStore) -> None:
        """Numbers may come in any order."""
        for client, number in [("c", 2), ("c", 1), ("C", 1), ("c", 2**63 - 1)]:
            assert not store.append([block(floats(1.0))], BatchKey(client, number, b"d" * 32)).duplicate
        assert len(self.read_one(store)) == 4

    def test_a_batch_without_points_is_remembered_too(self, store: MetricsStore) -> None:
        """An empty series is none."""
        assert store.append([block([])], BatchKey("c", 1, b"d" * 32)) == AppendOutcome(0)
        assert store.append([], BatchKey("c", 1, b"d" * 32)).duplicate
        assert (store.read([RUN]), store.summaries([RUN])) == ([], [])

    def test_a_batch_that_is_refused_is_not_remembered(self, store: MetricsStore) -> None:
        """It may come again, mended."""
        batch = BatchKey("c", 1, b"d" * 32)
        with pytest.raises(InvalidRequest):
            store.append([block([(0, 0, "\ud800")], kind=ValueKind.TEXT)], batch)
        assert store.append([block(floats(1.0))], batch) == AppendOutcome(1)

    def test_one_series_may_stand_in_a_batch_several_times(self, store: MetricsStore) -> None:
        """Its blocks arrive one after the other."""
        store.append([block([(1, 0, 1.0)]), block(floats(9.0), key="other"), block([(1, 0, 2.0)])])
        assert self.read_one(store) == [(1, 0, 1.0), (1, 0, 2.0)]

    def test_what_a_caller_does_with_its_buffers_later_changes_nothing(self, store: MetricsStore) -> None:
        """Nor does what a reader does with what it got."""
        values = array("d", [1.0])
        store.append([SeriesBlock(object_id=RUN, key=LOSS, steps=array("q", [0]), wall_times_us=array("q", [0]), values=values)])
        values[0] = 2.0
        found = store.read([RUN])[0].values
        if isinstance(found, np.ndarray) and found.flags.writeable:
            found[0] = 3.0
        assert self.read_one(store) == [(0, 0, 1.0)]

    # --- summaries -----------------------------------------------------------------------------------------------------------------------

    def summary(self, store: MetricsStore, key: str = LOSS) -> SeriesSummary:
        """Return the summary of one series."""
        return next(one for one in store.summaries([RUN]) if one.key == key)

    def test_a_summary_ignores_nan_and_keeps_infinities(self, store: MetricsStore) -> None:
        """Only `last` may be NaN."""
        store.append([block(floats(1.0, math.nan, 3.0))])
        store.append([block(floats(math.nan, start=3))])
        found = self.summary(store)
        assert (found.count, found.first_step, found.last_step) == (4, 0, 3)
        assert (found.min, found.max, found.mean) == (1.0, 3.0, 2.0)
        assert isinstance(found.last, float)
        assert math.isnan(found.last)
        store.append([block(floats(math.inf, start=4))])
        assert (self.summary(store).max, self.summary(store).mean, self.summary(store).last) == (math.inf, math.inf, math.inf)

    @pytest.mark.parametrize("alike", [True, False], ids=["the same keys", "different keys"])
    def test_summaries_as_columns_say_what_summaries_say(self, store: MetricsStore, *, alike: bool) -> None:
        """By key, then by object as asked, then by kind."""
        ids = [f"{number:040x}" for number in (7, 3, 5, 9)]
        for object_id in ids[1:] if not alike else ids:
            store.append([block(floats(math.nan, -1.5), key="b", object_id=object_id), block(floats(0.25), key="a", object_id=object_id)])
        if not alike:
            store.append([block([(0, 0, "x")], key="b", object_id=ids[1], kind=ValueKind.TEXT)])
            store.append([block([(0, 0, "x")], key="b", object_id=ids[2], kind=ValueKind.TEXT), block(floats(math.nan), object_id=ids[2])])
            store.append([block([(5, 0, b"x")], key="c", object_id=ids[3], kind=ValueKind.BYTES)])
            store.append([block(floats(math.inf), object_id=ids[3]), block(floats(-math.inf, start=1), object_id=ids[3])])
        self.check_summary_columns(store, ids)
        assert store.summary_columns([]).key == []

    def test_summaries_as_columns_of_objects_that_share_some_keys(self, store: MetricsStore) -> None:
        """Whatever each of them logged."""
        dice = random.Random(7)  # noqa: S311
        ids = [f"{number:040x}" for number in dice.sample(range(1000), 40)]
        for object_id in ids:
            blocks = [
                block(
                    [(step, 0, _random_value(dice, kind)) for step in range(dice.randrange(1, 3))], object_id=object_id, key=key, kind=kind
                )
                for key in dice.sample("abcd", dice.randrange(4))
                for kind in dice.sample(list(ValueKind), dice.choice([1, 1, 1, 2, 3]))
            ]
            store.append(blocks)
        self.check_summary_columns(store, ids)

    def check_summary_columns(self, store: MetricsStore, ids: Sequence[str]) -> None:
        """Compare the columns with the summaries."""
        columns = store.summary_columns(ids)
        expected = sorted(store.summaries(ids), key=lambda one: one.key)
        rows = zip(*(getattr(columns, name) for name in columns.__struct_fields__), strict=True)
        assert [tuple(map(repr, row)) for row in rows] == [
            tuple(map(repr, (ids.index(s.object_id), s.key, s.count, s.last_step, s.last, s.min, s.max, s.mean))) for s in expected
        ]

    def test_a_series_of_nan_has_no_bounds(self, store: MetricsStore) -> None:
        """Until a number comes."""
        store.append([block(floats(math.nan, math.nan))])
        found = self.summary(store)
        assert (found.min, found.max, found.mean) == (None, None, None)
        store.append([block(floats(-2.0, start=2))])
        found = self.summary(store)
        assert (found.min, found.max, found.mean, found.last) == (-2.0, -2.0, -2.0, -2.0)

    def test_the_last_value_is_that_of_the_greatest_step_then_clock_then_arrival(self, store: MetricsStore) -> None:
        """Inside a batch and between batches."""
        for points, last, clock_us in (
            ([(5, 10, 1.0), (3, 99, 2.0)], 1.0, 10),
            ([(5, 9, 3.0)], 1.0, 10),
            ([(5, 10, 4.0), (5, 10, 5.0), (5, 9, 6.0)], 5.0, 10),
            ([(5, 11, 7.0)], 7.0, 11),
            ([(6, -1, -0.0)], -0.0, -1),
        ):
            store.append([block(cast("list[Point]", points))])
            found = self.summary(store)
            assert (repr(found.last), found.last_wall_time_us) == (repr(last), clock_us)

    def test_a_mean_of_the_greatest_numbers_does_not_overflow(self, store: MetricsStore) -> None:
        """Neither in one batch nor over several."""
        for _ in range(3):
            store.append([block(floats(*[1.7e308] * 5))])
        assert self.summary(store).mean == pytest.approx(1.7e308)

    def test_a_summary_of_texts_has_the_last_one_and_of_bytes_none(self, store: MetricsStore) -> None:
        """Neither has bounds."""
        store.append(
            [block([(1, 0, "b"), (0, 0, "a")], key="t", kind=ValueKind.TEXT), block([(1, 0, b"b")], key="x", kind=ValueKind.BYTES)]
        )
        texts, binaries = self.summary(store, "t"), self.summary(store, "x")
        assert (texts.last, texts.count, texts.min, texts.mean) == ("b", 2, None, None)
        assert (binaries.last, binaries.count, binaries.max) == (None, 1, None)

    def test_a_summary_equals_what_its_points_say(self, store: MetricsStore) -> None:
        """However they were cut into batches."""
        dice = random.Random(11)  # noqa: S311
        written: list[Point] = []
        for _ in range(60):
            points: list[Point] = [
                (dice.randint(-5, 5), dice.randint(0, 3), dice.choice([dice.gauss(0, 1), math.nan])) for _ in range(dice.randint(1, 20))
            ]
            written += points
            store.append([block(points)])
        found = self.summary(store)
        numbers = [value for _, _, value in written if isinstance(value, float) and not math.isnan(value)]
        ordered = in_order(written)
        assert same_bits([(found.last_step, found.last_wall_time_us, cast("float", found.last))]) == same_bits(ordered[-1:])
        assert (found.count, found.first_step) == (len(written), ordered[0][0])
        assert (found.min, found.max) == (min(numbers), max(numbers))
        assert found.mean == pytest.approx(math.fsum(numbers) / len(numbers), rel=1e-12)

    # --- delete --------------------------------------------------------------------------------------------------------------------------

    def test_deleting_an_object_deletes_its_series_only(self, store: MetricsStore) -> None:
        """And says how many points they had; again there is nothing to delete."""
        store.append([block(floats(*range(5000))), block(floats(1.0), key="k"), block(floats(2.0), object_id=OTHER)])
        assert store.delete([RUN, "nothing", RUN]) == 5001
        assert store.delete([RUN]) == 0
        assert (store.read([RUN]), store.summaries([RUN])) == ([], [])
        assert self.read_one(store, object_id=OTHER) == floats(2.0)

    def test_a_series_that_was_deleted_begins_anew(self, store: MetricsStore) -> None:
        """Nothing of the old one comes back, and the batches that made it stay known."""
        batch = BatchKey("c", 1, b"d" * 32)
        store.append([block(floats(*range(300)))], batch)
        store.delete([RUN])
        assert store.append([block(floats(*range(300)))], batch).duplicate
        store.append([block(floats(7.0))])
        assert self.read_one(store) == floats(7.0)
        assert self.summary(store).count == 1

    # --- many at once --------------------------------------------------------------------------------------------------------------------

    def test_threads_that_append_at_once_lose_nothing(self, store: MetricsStore) -> None:
        """While others read, and whole batches only are seen."""
        done = threading.Event()

        def write(thread: int) -> None:
            for number in range(25):
                points: list[Point] = [(number, thread, float(number))] * 4
                store.append([block(points), block(points, key=f"own {thread}")], BatchKey(f"c{thread}", number, b"d" * 32))

        def follow() -> int:
            longest = 0
            while not done.is_set():
                count = len(self.read_one(store))
                assert count % 4 == 0
                assert count >= longest
                longest = count
            return longest

        with ThreadPoolExecutor(8) as pool:
            readers = [pool.submit(follow) for _ in range(2)]
            try:
                for writer in [pool.submit(write, thread) for thread in range(6)]:
                    writer.result()
            finally:
                done.set()
            for reader in readers:
                reader.result()
        assert len(self.read_one(store)) == 6 * 25 * 4
        assert all(len(self.read_one(store, key=f"own {thread}")) == 100 for thread in range(6))

    def test_deleting_while_others_append_is_safe(self, store: MetricsStore) -> None:
        """What is there afterwards is what came after the last deletion: consistent, and readable."""
        with ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(lambda: [store.append([block(floats(1.0, 2.0))]) for _ in range(40)]) for _ in range(3)]
            deleted = sum(store.delete([RUN]) for _ in range(20))
            for writer in writers:
                writer.result()
        assert deleted + len(self.read_one(store)) == 3 * 40 * 2
        assert sum(found.count for found in store.summaries([RUN])) == len(self.read_one(store))

    def test_a_store_that_works_says_so(self, store: MetricsStore) -> None:
        """And the question leaves no points behind."""
        store.check()
        store.check()
        assert store.read([RUN]) == []

    # --- durability ----------------------------------------------------------------------------------------------------------------------

    def test_everything_is_there_after_reopening(self, store: MetricsStore, reopen: Reopen) -> None:
        """Points, summaries and batches."""
        written = floats(*HOSTILE_FLOATS * 2000)
        batch = BatchKey("c", 1, b"d" * 32)
        store.append([block(written), block([(0, 0, "é")], key="t", kind=ValueKind.TEXT)], batch)
        before = store.summaries([RUN])
        again = reopen(store)
        assert same_bits(self.read_one(again)) == same_bits(written)
        assert repr(again.summaries([RUN])) == repr(before)
        assert again.append([block(written)], batch).duplicate
        again.append([block(floats(1.0, start=10**6))])
        assert len(self.read_one(again)) == len(written) + 1
