"""Metrics: points go in as columns and come back exactly, in order, or thinned without losing what a curve shows."""

import hashlib
import math
from array import array
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbox.entities.ids import random_id
from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.errors import BatchConflict, InvalidName, InvalidQuery, InvalidRequest, NotFound, TooLarge
from modelbox.wire.messages import AppendResult, ExperimentCreate, MetricsQuery, SummariesQuery
from modelbox_server.service.context import Caller
from modelbox_server.service.metrics import thinned
from modelbox_server.storage.interfaces import BatchKey
from modelbox_server.testing.samples import FLOATS, METRIC, float_block, text_block
from modelbox_server.wiring import Services


@pytest.fixture
def experiment(services: Services, caller: Caller) -> str:
    return services.experiments.create(caller, ExperimentCreate(name="e")).item.id


def values_of(block: SeriesBlock) -> list[float]:
    return cast(npt.NDArray[np.float64], block.values).tolist()


def steps_of(block: SeriesBlock) -> list[int]:
    return cast(npt.NDArray[np.int64], block.steps).tolist()


def test_points_come_back_bit_by_bit(services: Services, caller: Caller, experiment: str) -> None:
    assert services.metrics.append(caller, [float_block(experiment)]) == AppendResult(points=len(FLOATS))
    (block,) = services.metrics.read(caller, MetricsQuery(objects=[experiment]))
    assert (block.object_id, block.key, block.kind) == (experiment, METRIC, ValueKind.FLOAT)
    assert [value.hex() for value in values_of(block)] == [value.hex() for value in FLOATS]


def test_text_and_bytes_are_series_of_their_own(services: Services, caller: Caller, experiment: str) -> None:
    binary = SeriesBlock(
        object_id=experiment, key=METRIC, kind=ValueKind.BYTES, steps=array("q", [0]), wall_times_us=array("q", [0]), values=[b"\x00\xff"]
    )
    services.metrics.append(caller, [float_block(experiment, [1.0]), text_block(experiment, ["é", ""]), binary])
    found = {
        block.kind: list(cast(Sequence[object], block.values))
        for block in services.metrics.read(caller, MetricsQuery(objects=[experiment]))
    }
    assert found == {ValueKind.FLOAT: [1.0], ValueKind.TEXT: ["é", ""], ValueKind.BYTES: [b"\x00\xff"]}


def test_any_step_order_is_taken_and_sorted_on_reading(services: Services, caller: Caller, experiment: str) -> None:
    steps = [3, -(2**63), 2**63 - 1, 3, -1]
    services.metrics.append(caller, [float_block(experiment, [0.0, 1.0, 2.0, 3.0, 4.0], steps=steps)])
    (block,) = services.metrics.read(caller, MetricsQuery(objects=[experiment]))
    assert steps_of(block) == sorted(steps)
    # Steps that repeat are ordered by wall clock, which goes down in this block.
    assert values_of(block) == [1.0, 4.0, 3.0, 0.0, 2.0]


def test_two_spellings_of_a_key_are_one_series(services: Services, caller: Caller, experiment: str) -> None:
    services.metrics.append(caller, [float_block(experiment, [1.0], key="caf\u00e9")])
    services.metrics.append(caller, [float_block(experiment, [2.0], key="cafe\u0301", steps=[1])])
    for key in ("caf\u00e9", "cafe\u0301"):
        query = MetricsQuery(objects=[experiment], keys=[key, key], skip={experiment: {key: 1}})
        assert [values_of(block) for block in services.metrics.read(caller, query)] == [[2.0]]


@pytest.mark.parametrize("key", ["", " ", "a ", "a\x00", "a\nb", "\x1b", "a\u202e", "\ud800", "x" * 513])
def test_a_key_that_cannot_be_shown_is_refused_with_its_place(services: Services, caller: Caller, experiment: str, key: str) -> None:
    with pytest.raises(InvalidName) as caught:
        services.metrics.append(caller, [float_block(experiment), float_block(experiment, key=key)])
    assert caught.value.field == "series[1].key"
    assert services.metrics.read(caller, MetricsQuery(objects=[experiment])) == []


@pytest.mark.parametrize("key", ["💥", "a/b", "a.b", "a[0]", "=x", "<b>", "' OR 1=1 --"])
def test_every_other_key_is_kept_literally(services: Services, caller: Caller, experiment: str, key: str) -> None:
    services.metrics.append(caller, [float_block(experiment, key=key)])
    assert [block.key for block in services.metrics.read(caller, MetricsQuery(objects=[experiment], keys=[key]))] == [key]


def test_one_missing_object_refuses_the_whole_batch(services: Services, caller: Caller, experiment: str) -> None:
    missing = random_id()
    with pytest.raises(NotFound, match=missing):
        services.metrics.append(caller, [float_block(experiment), float_block(missing)])
    assert services.metrics.read(caller, MetricsQuery(objects=[experiment])) == []
    with pytest.raises(NotFound, match=missing):
        services.metrics.read(caller, MetricsQuery(objects=[experiment, missing]))
    with pytest.raises(NotFound, match=missing):
        services.metrics.summaries(caller, SummariesQuery(objects=[missing]))


def test_a_batch_has_at_least_one_point_and_at_most_a_million(services: Services, caller: Caller, experiment: str) -> None:
    for blocks in ([], [float_block(experiment, [])]):
        with pytest.raises(InvalidRequest, match="no points"):
            services.metrics.append(caller, blocks)
    zeros = np.zeros(500_001)
    block = SeriesBlock(object_id=experiment, key="a", steps=zeros.view(np.int64), wall_times_us=zeros.view(np.int64), values=zeros)
    with pytest.raises(TooLarge, match="1000002 points"):
        services.metrics.append(caller, [block, block])


def test_columns_have_one_length(services: Services, caller: Caller, experiment: str) -> None:
    block = SeriesBlock(
        object_id=experiment, key="a", steps=array("q", [1, 2]), wall_times_us=array("q", [1]), values=array("d", [1.0, 2.0])
    )
    with pytest.raises(InvalidRequest, match="2 steps, 1 wall clocks, 2 values"):
        services.metrics.append(caller, [block])


def test_a_batch_counts_once_and_its_number_is_used_once(services: Services, caller: Caller, experiment: str) -> None:
    one, two = (BatchKey("client é", 1, hashlib.sha256(text).digest()) for text in (b"1", b"2"))
    assert services.metrics.append(caller, [float_block(experiment, [1.0])], one) == AppendResult(points=1)
    assert services.metrics.append(caller, [float_block(experiment, [1.0])], one).duplicate
    with pytest.raises(BatchConflict):
        services.metrics.append(caller, [float_block(experiment, [2.0])], two)
    (block,) = services.metrics.read(caller, MetricsQuery(objects=[experiment]))
    assert values_of(block) == [1.0]


@pytest.mark.parametrize("batch", [BatchKey("", 1, b""), BatchKey("a\n", 1, b""), BatchKey("c", -1, b""), BatchKey("c", 2**63, b"")])
def test_a_batch_has_a_proper_identity(services: Services, caller: Caller, experiment: str, batch: BatchKey) -> None:
    with pytest.raises(InvalidRequest):
        services.metrics.append(caller, [float_block(experiment)], batch)


def test_a_follower_skips_what_it_has_seen_in_order_of_arrival(services: Services, caller: Caller, experiment: str) -> None:
    services.metrics.append(caller, [float_block(experiment, [1.0, 2.0], steps=[10, 11])])
    services.metrics.append(caller, [float_block(experiment, [3.0], steps=[5])])
    (block,) = services.metrics.read(caller, MetricsQuery(objects=[experiment], skip={experiment: {METRIC: 2}}))
    assert (steps_of(block), values_of(block)) == ([5], [3.0])
    with pytest.raises(InvalidQuery, match="skip"):
        services.metrics.read(caller, MetricsQuery(objects=[experiment], skip={experiment: {METRIC: -1}}))


def test_nothing_asked_is_nothing_read(services: Services, caller: Caller, experiment: str) -> None:
    services.metrics.append(caller, [float_block(experiment)])
    assert services.metrics.read(caller, MetricsQuery(objects=[])) == []
    assert services.metrics.read(caller, MetricsQuery(objects=[experiment], keys=[])) == []
    assert services.metrics.read(caller, MetricsQuery(objects=[experiment], keys=["other"])) == []
    assert len(services.metrics.read(caller, MetricsQuery(objects=[experiment, experiment]))) == 1


def test_summaries_know_bounds_without_nan(services: Services, caller: Caller, experiment: str) -> None:
    services.metrics.append(caller, [float_block(experiment, [1.0, math.nan, 3.0, 2.0], steps=[0, 1, 9, 4])])
    (summary,) = services.metrics.summaries(caller, SummariesQuery(objects=[experiment])).series
    assert (summary.count, summary.min, summary.max, summary.mean) == (4, 1.0, 3.0, 2.0)
    assert (summary.last, summary.first_step, summary.last_step) == (3.0, 0, 9)


def test_thinning_is_asked_for_with_at_least_four_points(services: Services, caller: Caller, experiment: str) -> None:
    services.metrics.append(caller, [float_block(experiment, [float(i % 7) for i in range(1000)])])
    (block,) = services.metrics.read(caller, MetricsQuery(objects=[experiment], max_points=50))
    assert len(block) <= 50
    with pytest.raises(InvalidQuery, match="at least 4"):
        services.metrics.read(caller, MetricsQuery(objects=[experiment], max_points=3))


def test_a_zoomed_chart_reads_the_steps_it_shows(services: Services, caller: Caller, experiment: str) -> None:
    services.metrics.append(caller, [float_block(experiment, [float(i % 97) for i in range(20_000)])])
    (block,) = services.metrics.read(caller, MetricsQuery(objects=[experiment], first_step=5000, last_step=5009))
    assert steps_of(block) == list(range(5000, 5010))
    (block,) = services.metrics.read(caller, MetricsQuery(objects=[experiment], first_step=5000, last_step=9999, max_points=100))
    assert (len(block) <= 100, steps_of(block)[0], steps_of(block)[-1]) == (True, 5000, 9999)
    assert (min(values_of(block)), max(values_of(block))) == (0.0, 96.0)
    (block,) = services.metrics.read(caller, MetricsQuery(objects=[experiment], first_step=19_998))
    assert steps_of(block) == [19_998, 19_999]
    (block,) = services.metrics.read(caller, MetricsQuery(objects=[experiment], last_step=0))
    assert steps_of(block) == [0]
    assert services.metrics.read(caller, MetricsQuery(objects=[experiment], first_step=20_000)) == []


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [(5, 4, "first_step is 5 and last_step 4"), (None, 2**63, "last_step is 9223372036854775808"), (-(2**63) - 1, None, "first_step")],
)
def test_a_range_of_steps_has_bounds(services: Services, caller: Caller, experiment: str, first: int, last: int, message: str) -> None:
    with pytest.raises(InvalidQuery, match=message):
        services.metrics.read(caller, MetricsQuery(objects=[experiment], first_step=first, last_step=last))


@given(st.lists(st.floats(), min_size=1, max_size=300), st.integers(4, 40))
def test_thinning_keeps_the_ends_and_the_extremes(values: list[float], max_points: int) -> None:
    whole = float_block("a" * 40, values)
    thin = thinned(whole, max_points)
    assert len(thin) <= max_points or len(values) <= max_points
    steps, kept = list(memoryview(thin.steps).cast("B").cast("q")), list(memoryview(cast(bytes, thin.values)).cast("B").cast("d"))
    assert [steps[0], steps[-1]] == [0, len(values) - 1]
    assert [value.hex() for value in kept] == [values[step].hex() for step in steps]
    numbers = [value for value in values if not math.isnan(value)]
    if numbers:
        shown = [value for value in kept if not math.isnan(value)]
        assert (min(shown), max(shown)) == (min(numbers), max(numbers))


def test_a_gap_of_nan_stays_a_gap() -> None:
    values = [1.0] * 400 + [math.nan] * 400 + [2.0] * 400
    kept = list(memoryview(cast(bytes, thinned(float_block("a" * 40, values), 24).values)).cast("B").cast("d"))
    assert any(math.isnan(value) for value in kept)


def test_text_is_never_thinned() -> None:
    assert len(thinned(text_block("a" * 40, ["x"] * 100), 4)) == 100
