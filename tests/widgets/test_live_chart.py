"""LiveChart without a browser: what it sends, what it answers, and what it leaves behind."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import traitlets

from modelbox import frames
from modelbox.client.connection import ModelBox
from modelbox.client.experiment import Experiment
from modelbox.entities.records import Json
from modelbox.entities.series import SeriesBlock
from modelbox.errors import InvalidRequest, NotFound, ServerUnreachable
from modelbox.testing import memory_connection
from modelbox_widgets import live_chart
from modelbox_widgets.live_chart import LiveChart
from modelbox_widgets.live_spec import VEGALITE
from modelbox_widgets.testing import HOSTILE_NAMES, code_in, compiled


@pytest.fixture
def box() -> Iterator[ModelBox]:
    with memory_connection() as connection:
        yield connection


@pytest.fixture
def charts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LiveChart]]:
    """Make charts that are closed at the end, so that no thread outlives its test; what they send is kept in `sent`."""
    monkeypatch.setattr(live_chart, "_PAUSE_S", 0.02)
    monkeypatch.setattr(live_chart, "_LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(live_chart, "_STATUS_EVERY_S", 0.0)
    made: list[LiveChart] = []

    def make(*arguments: Any, **settings: Any) -> LiveChart:
        chart = LiveChart(*arguments, **settings)
        chart.sent = []  # type: ignore[attr-defined]
        monkeypatch.setattr(chart, "send", lambda content, buffers=None: chart.sent.append((content, buffers)))  # type: ignore[attr-defined]
        made.append(chart)
        return chart

    yield make
    for chart in made:
        chart.close()


def eventually(condition: Callable[[], object]) -> None:
    until_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until_s, "it never happened"
        time.sleep(0.01)


def floats(buffer: bytes) -> list[float]:
    return np.frombuffer(buffer, dtype=np.float64).tolist()


def drawn(state: Json) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    """Return steps and values by series of a snapshot."""
    columns = [floats(buffer) for buffer in state["buffers"]]
    return {(one["run"], one["key"]): (columns[3 * i], columns[3 * i + 2]) for i, one in enumerate(state["series"])}


def million(box: ModelBox, points: int = 1_000_000) -> tuple[Experiment, "np.ndarray[Any, np.dtype[np.float64]]"]:
    run = box.start("a million")
    values = np.sin(np.arange(points) / 40_000) + np.random.default_rng(0).normal(0, 0.05, points)
    values[points * 7 // 10] = 9.0
    block = SeriesBlock(object_id=run.id, key="reward", steps=np.arange(points), wall_times_us=np.arange(points) * 1000, values=values)
    box.session.transport.append_metrics([block], client="c" * 40, batch=1)
    return run, values


def test_the_message_that_opens_it_has_the_points_and_runs_with_colours(box: ModelBox, charts: Callable[..., LiveChart]) -> None:
    for i in range(2):
        with box.start("same name") as run:
            run.log({"val/loss @1": 0.5 - i}, step=3)
            run.log({"system/cpu": 1.0, "note": "text"})
    chart = charts(frames.experiments(connection=box), connection=box)
    state = chart.get_state()
    first, second = box.experiments()
    assert drawn(state["_snapshot"]) == {(first.id, "val/loss @1"): ([3], [-0.5]), (second.id, "val/loss @1"): ([3], [0.5])}
    assert [run["id"] for run in state["_runs"]] == [first.id, second.id]
    assert len({run["colour"] for run in state["_runs"]}) == len({run["label"] for run in state["_runs"]}) == 2


def test_only_what_is_new_is_sent_while_a_run_goes_on(box: ModelBox, charts: Callable[..., LiveChart]) -> None:
    run = box.start("running")
    run.log(loss=1.0)
    chart = charts(run)
    assert chart.is_live
    run.log(loss=float("inf"), step=7)
    box.flush()
    eventually(lambda: chart.sent)  # type: ignore[attr-defined]
    ((content, buffers),) = chart.sent  # type: ignore[attr-defined]
    assert content == {"type": "points", "number": 2, "series": [{"run": run.id, "key": "loss"}]}
    assert [floats(buffers[0]), floats(buffers[2])] == [[7.0], [float("inf")]]
    run.log(loss=0.25, step=8)
    run.finish()
    eventually(lambda: not chart.is_live)
    assert [content["number"] for content, _ in chart.sent] == [2, 3]  # type: ignore[attr-defined]
    assert chart._runs[0]["status"] == "finished"
    everything, buffers = chart.answer("points", {})
    assert everything["number"] == 3
    assert drawn({**everything, "buffers": buffers})[run.id, "loss"] == ([0.0, 7.0, 8.0], [1.0, float("inf"), 0.25])


def test_a_chart_that_is_paused_catches_up_later(box: ModelBox, charts: Callable[..., LiveChart]) -> None:
    run = box.start("running")
    chart = charts(run, following=False)
    run.log(loss=1.0)
    box.flush()
    time.sleep(0.2)
    assert chart.sent == []  # type: ignore[attr-defined]
    chart.following = True
    eventually(lambda: chart.sent)  # type: ignore[attr-defined]


def test_a_million_points_are_few_bytes_and_every_zoom_shows_all_there_is(box: ModelBox, charts: Callable[..., LiveChart]) -> None:
    run, values = million(box)
    run.finish()
    chart = charts(run)
    (snapshot,) = [chart.get_state()["_snapshot"]]
    assert sum(map(len, snapshot["buffers"])) < 200_000
    assert snapshot["series"][0]["count"] == 1_000_000
    assert max(drawn(snapshot)[run.id, "reward"][1]) == 9.0
    content, buffers = chart.answer("detail", {"first": 699_900, "last": 700_100, "points": 1000})
    assert content == {"series": [{"run": run.id, "key": "reward"}]}
    assert floats(buffers[0]) == list(range(699_900, 700_101))
    assert floats(buffers[2]) == values[699_900:700_101].tolist()
    _, buffers = chart.answer("detail", {"first": 600_000, "last": 799_999, "points": 1000})
    shown = np.array(floats(buffers[2]))
    assert len(shown) <= 1000
    assert (shown.min(), shown.max()) == (values[600_000:800_000].min(), 9.0)


def test_a_detail_leaves_out_hidden_runs_and_other_metrics(box: ModelBox, charts: Callable[..., LiveChart]) -> None:
    runs = [box.start(name) for name in "ab"]
    for run in runs:
        run.log(loss=1.0, accuracy=0.5, step=1)
        run.finish()
    chart = charts(runs, "loss", hidden=[runs[0].id])
    content, _ = chart.answer("detail", {"first": 0, "last": 9, "points": 100})
    assert content["series"] == [{"run": runs[1].id, "key": "loss"}]
    chart.hidden = [run.id for run in runs]
    assert chart.answer("detail", {"first": 0, "last": 9, "points": 100}) == ({"series": []}, ())


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"first": 0, "last": 9},
        {"first": True, "last": 9, "points": 100},
        {"first": 0.5, "last": 9, "points": 100},
        {"first": 0, "last": 2**63, "points": 100},
        {"first": 0, "last": 9, "points": 10**9},
        {"first": 0, "last": 9, "points": 0},
        {"first": "0; drop table", "last": 9, "points": 100},
        {"first": [0] * 1000, "last": 9, "points": 100},
    ],
)
def test_a_detail_that_makes_no_sense_is_refused_in_a_sentence(box: ModelBox, charts: Callable[..., LiveChart], content: Json) -> None:
    run = box.start("a")
    run.log(loss=1.0)
    run.finish()
    with pytest.raises(InvalidRequest, match="it should be a whole number from") as refusal:
        charts(run).answer("detail", content)
    assert len(str(refusal.value)) < 200


def test_choices_go_both_ways_and_are_checked(box: ModelBox, charts: Callable[..., LiveChart]) -> None:
    run = box.start("a")
    run.finish()
    chart = charts(run, smoothing=0.5, x_axis="time")
    chart.set_state({"window": [3.0, 9.5], "smoothing": 0.9, "log_scale": True})
    assert (chart.window, chart.smoothing, chart.log_scale) == ((3.0, 9.5), 0.9, True)
    chart.window = None
    for name, value in {"window": (2.0, 1.0), "smoothing": 1.5, "x_axis": "epoch"}.items():
        with pytest.raises(traitlets.TraitError):
            setattr(chart, name, value)
    with pytest.raises(InvalidRequest, match="Did you mean 'smoothing'"):
        charts(run, smothing=0.5)


def test_what_cannot_be_shown_says_so(box: ModelBox, charts: Callable[..., LiveChart]) -> None:
    with pytest.raises(InvalidRequest, match="no runs to show"):
        charts([])
    with pytest.raises(InvalidRequest, match="no runs to show"):
        charts(pd.DataFrame({"experiment_id": []}))
    with pytest.raises(NotFound, match="no experiment ffff"):
        charts("f" * 40, connection=box)
    with memory_connection() as other, pytest.raises(InvalidRequest, match="several stores"):
        charts([box.start("a"), other.start("b")])


def test_of_very_many_runs_the_first_are_shown_and_the_chart_says_so(box: ModelBox, charts: Callable[..., LiveChart]) -> None:
    runs = [box.new_experiment(f"run {i}") for i in range(55)]
    for run in runs:
        run.finish()
    chart = charts(runs)
    assert len(chart._runs) == 50
    assert chart._note == "the first 50 of 55 runs"


def test_what_it_leaves_is_a_table_and_a_picture(box: ModelBox, charts: Callable[..., LiveChart]) -> None:
    with box.start("a") as run:
        for i in range(50):
            run.log(loss=1 / (i + 1))
    bundle, metadata = charts(run).static_bundle()
    assert set(bundle) == {"text/plain", "text/html", VEGALITE, "image/png"}
    assert "a: finished, loss=0.02" in bundle["text/plain"]
    assert "<img" in bundle["text/html"]
    assert metadata["image/png"]["width"] > 100
    assert len(bundle[VEGALITE]["data"]["values"]) == 50


def test_hostile_names_are_data_everywhere(box: ModelBox, charts: Callable[..., LiveChart]) -> None:
    runs = []
    for name in HOSTILE_NAMES:
        with box.start(name) as run:
            run.log({name: 1.0})
        runs.append(run)
    chart = charts(runs)
    bundle, _ = chart.static_bundle()
    assert {run["label"] for run in chart._runs} == set(HOSTILE_NAMES)
    assert "<img src=x" not in bundle["text/html"]
    assert "</script>" not in bundle["text/html"]
    code = "\n".join(code_in(compiled(bundle[VEGALITE])))
    assert not [name for name in HOSTILE_NAMES if name in code and name != "datum.value"]


def test_a_store_that_is_away_is_one_line_of_the_log(
    box: ModelBox, charts: Callable[..., LiveChart], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live_chart._notices.forget("live chart")
    run = box.start("a")
    chart = charts(run)
    read = box.session.transport.read_metrics

    def away(_query: object) -> None:
        raise ServerUnreachable("Nobody answers at http://127.0.0.1:9: start the server.")

    monkeypatch.setattr(box.session.transport, "read_metrics", away)
    with caplog.at_level(logging.WARNING):
        eventually(lambda: caplog.records)
        time.sleep(0.2)
    assert [record.getMessage() for record in caplog.records if "live chart" in record.getMessage()] == [
        "ModelBox: a live chart cannot read its points: Nobody answers at http://127.0.0.1:9: start the server."
    ]
    monkeypatch.setattr(box.session.transport, "read_metrics", read)
    run.log(loss=1.0)
    box.flush()
    eventually(lambda: chart.sent)  # type: ignore[attr-defined]
