"""Increments of running experiments, against all their points."""

from collections.abc import Iterator

import numpy as np
import pytest

from modelbox.client.connection import ModelBox
from modelbox.entities.series import SeriesBlock
from modelbox.testing import memory_connection
from modelbox_widgets.overview import columns_of
from modelbox_widgets.tail import Tail


@pytest.fixture
def box() -> Iterator[ModelBox]:
    with memory_connection() as connection:
        yield connection


def points(blocks: list[SeriesBlock]) -> dict[tuple[str, str], list[float]]:
    return {(block.object_id, block.key): columns_of(block)[2].tolist() for block in blocks}


def test_each_read_brings_what_is_new_and_nothing_twice(box: ModelBox) -> None:
    run, other = box.start("a"), box.start("b")
    tail = Tail([run, other], None, thin_points=100)
    run.log({"val/loss @1": 1.0, "note": "text", "system/cpu": 3.0})
    box.flush()
    assert points(tail.read()) == {(run.id, "val/loss @1"): [1.0]}
    assert tail.read() == []
    run.log({"val/loss @1": 0.5, "note": "more"}, step=0)
    other.log({"accuracy": float("nan")})
    other.log({"accuracy": 0.5})
    box.flush()
    found = points(tail.read())
    assert found[run.id, "val/loss @1"] == [0.5]
    assert np.isnan(found[other.id, "accuracy"][0])
    assert tail.read() == []


def test_what_was_there_before_comes_thinned_and_then_point_by_point(box: ModelBox) -> None:
    run = box.start("long")
    values = np.random.default_rng(0).standard_normal(5000).cumsum()
    for value in values:
        run.log(loss=value)
    box.flush()
    tail = Tail([run], ["loss"], thin_points=200)
    (block,) = tail.read()
    assert tail.counts == {(run.id, "loss"): 5000}
    assert len(block) <= 200
    assert {values.min(), values.max(), values[0], values[-1]} <= set(columns_of(block)[2].tolist())
    run.log(loss=7.0)
    box.flush()
    assert points(tail.read()) == {(run.id, "loss"): [7.0]}
    assert tail.counts == {}


def test_a_run_that_is_deleted_leaves_and_the_others_go_on(box: ModelBox) -> None:
    run, other = box.start("a"), box.start("b")
    tail = Tail([run, other], None, thin_points=100)
    assert tail.read() == []
    run.delete()
    other.log(loss=1.0)
    box.flush()
    assert points(tail.read()) == {(other.id, "loss"): [1.0]}
    assert tail.experiments == [other]
    other.delete()
    assert tail.read() == []
    assert tail.is_over


def test_the_end_of_a_run_is_heard(box: ModelBox) -> None:
    run = box.start("a")
    seen = box.experiment(run.id)
    tail = Tail([seen], None, thin_points=100)
    assert not tail.refresh()
    assert not tail.is_over
    run.finish()
    assert tail.refresh()
    assert tail.is_over
