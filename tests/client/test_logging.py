"""``log()``: keys, values, steps, and what is said when something cannot be kept."""

import math
import warnings

import numpy as np
import pytest

import modelbox
from modelbox.client.connection import ModelBox
from modelbox.client.metrics import MetricValue
from modelbox.client.notices import ModelBoxWarning
from modelbox.errors import InvalidName, InvalidRequest


def test_points_come_back_bit_exact_in_step_order(box: ModelBox) -> None:
    run = box.start("demo")
    values = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308]
    for step, value in reversed(list(enumerate(values))):
        run.log({"val/loss @1": value}, step=step, wall_time=step)
    points = run.all_metrics()["val/loss @1"]
    assert [point.step for point in points] == list(range(6))
    assert np.array([point.value for point in points]).tobytes() == np.array(values).tobytes()
    assert points[3] == MetricValue(3, 3.0, -0.0)


def test_text_and_bytes_are_series_of_their_own(box: ModelBox) -> None:
    run = box.start("demo")
    run.log(note="é\n😀", blob=b"\0\xff", step=1)
    points = run.all_metrics()
    assert points["note"][0].value == "é\n😀"
    assert points["blob"][0].value == b"\0\xff"


def test_numbers_and_text_may_share_a_name(box: ModelBox) -> None:
    run = box.start("demo")
    run.log(x="one", step=1)
    run.log(x=0.5, step=0)
    run.log(x="two", step=2)
    assert [(point.step, point.value) for point in run.all_metrics()["x"]] == [(0, 0.5), (1, "one"), (2, "two")]


def test_a_missing_step_follows_the_largest_one(box: ModelBox) -> None:
    run = box.start("demo")
    run.log(loss=0.0)
    run.log(loss=0.1)
    run.log(loss=0.2, step=10)
    run.log(loss=0.3, step=-5)
    run.log(loss=0.4)
    assert sorted(point.step for point in run.all_metrics()["loss"]) == [-5, 0, 1, 10, 11]


def test_a_repeated_step_is_kept_twice_in_the_order_of_arrival(box: ModelBox) -> None:
    run = box.start("demo")
    for value in (0.1, 0.2, 0.3):
        run.log(loss=value, step=7, wall_time=1.0)
    assert [point.value for point in run.all_metrics()["loss"]] == [0.1, 0.2, 0.3]


def test_log_metrics_speaks_as_in_2022(box: ModelBox) -> None:
    run = box.new_experiment("wav2vec", "me", "langtech")
    run.log_metrics({"loss": 0.5, "acc": 0.1})
    run.log_metrics({"loss": 0.4}, 1, 1234)
    assert [(point.step, point.value) for point in run.all_metrics()["loss"]] == [(0, 0.5), (1, 0.4)]
    assert run.all_metrics()["loss"][1].wallclock_time == 1234.0


def test_what_cannot_be_kept_is_one_warning_and_the_rest_is_kept(box: ModelBox) -> None:
    run = box.start("demo")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            run.log(loss=0.5, bad=None)
    assert [str(warning.message) for warning in caught] == [
        "Metric 'bad' is NoneType None: log a number, text or bytes. The other metrics of the call are kept."
    ]
    assert caught[0].category is ModelBoxWarning
    assert caught[0].filename == __file__
    assert set(run.all_metrics()) == {"loss"}
    assert len(run.all_metrics()["loss"]) == 3


def test_a_strict_connection_raises_instead(strict_box: ModelBox) -> None:
    run = strict_box.start("demo")
    with pytest.raises(TypeError, match="'bad' is NoneType None"):
        run.log(loss=0.5, bad=None)
    assert run.all_metrics() == {}


def test_an_integer_beyond_64_bits_is_never_skipped_silently(box: ModelBox) -> None:
    run = box.start("demo")
    with pytest.raises(InvalidRequest, match="outside 64 bits"):
        run.log(n=10**30)


def test_logging_nothing_is_one_warning(box: ModelBox) -> None:
    run = box.start("demo")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run.log({})
        run.log()
    assert len(caught) == 1
    assert "without a metric" in str(caught[0].message)
    assert run.all_metrics() == {}


def test_something_else_than_a_dict_is_refused(box: ModelBox) -> None:
    with pytest.raises(InvalidRequest, match="dict"):
        box.start("demo").log(0.5)  # type: ignore[arg-type]


def test_a_bad_name_is_one_warning_or_strictly_an_error(box: ModelBox, strict_box: ModelBox) -> None:
    with pytest.warns(ModelBoxWarning, match="begins or ends with a blank"):
        box.start("demo").log({" loss": 0.5, "ok": 1.0})
    with pytest.warns(ModelBoxWarning, match="names are text"):
        box.start("demo").log({3: 0.5})  # type: ignore[dict-item]
    with pytest.raises(InvalidName):
        strict_box.start("demo").log({" loss": 0.5})


def test_names_are_one_whatever_their_normal_form(box: ModelBox) -> None:
    run = box.start("demo")
    run.log({"e\u0301": 1.0})
    run.log({"\u00e9": 2.0})
    assert [point.value for point in run.all_metrics()["\u00e9"]] == [1.0, 2.0]


def test_modelbox_log_writes_to_the_run_started_last(box: ModelBox) -> None:
    first, second = box.start("first"), box.start("second")
    with pytest.warns(ModelBoxWarning, match="'second'"):
        modelbox.log(loss=0.5)
    second.finish()
    modelbox.log(loss=0.6)
    assert modelbox.current() is first
    assert [point.value for point in second.all_metrics()["loss"]] == [0.5]
    assert [point.value for point in first.all_metrics()["loss"]] == [0.6]


def test_modelbox_log_without_a_run_says_what_to_do() -> None:
    with pytest.raises(InvalidRequest, match=r"modelbox\.start"):
        modelbox.log(loss=0.5)


def test_a_jumping_clock_changes_nothing_but_the_shown_time(box: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([2_000_000_000_000, 1_000_000_000_000, 3_000_000_000_000])
    run = box.start("demo")
    monkeypatch.setattr("modelbox.client.metrics.time.time_ns", lambda: next(clock))
    for step in range(3):
        run.log(loss=float(step))
    monkeypatch.undo()
    assert [point.step for point in run.all_metrics()["loss"]] == [0, 1, 2]
    assert [point.wallclock_time for point in run.all_metrics()["loss"]] == [2000.0, 1000.0, 3000.0]


def test_warnings_turned_into_errors_do_not_break_the_background(box: ModelBox) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = box.start("demo")
        run.log(loss=0.5)
        assert run.flush(5)
