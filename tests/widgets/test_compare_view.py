"""The comparison by hand: what it tells the page, what the page may tell it, and what is saved."""

import re
from base64 import b64decode

import numpy as np
import pandas as pd
import pytest

import modelbox
from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest
from modelbox.testing import memory_connection
from modelbox_widgets import CompareView
from modelbox_widgets.still import StillCurves, colours_of, still_axis, still_svg
from modelbox_widgets.testing import HOSTILE_NAMES, run_id_of, search


@pytest.fixture
def view() -> CompareView:
    return CompareView(*search(6))


def tell(view: CompareView, **state: Json) -> None:
    """Do what a message of the page does."""
    view._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})


def picture(view: CompareView) -> str:
    """Return the SVG in the saved output."""
    found = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', view.static_bundle()[0]["text/html"])
    assert found
    return b64decode(found[1]).decode()


def test_what_is_brushed_in_the_page_is_a_frame_in_python(view: CompareView) -> None:
    seen: list[int] = []
    stop = view.on_select(lambda runs: seen.append(len(runs)))
    tell(view, selected_ids=[run_id_of(4), run_id_of(0)])
    assert set(view.selected["experiment_id"]) == {run_id_of(4), run_id_of(0)}
    stop()
    tell(view, selected_ids=[])
    assert seen == [2]


def test_python_selects_in_the_page_and_may_watch_the_trait(view: CompareView) -> None:
    seen: list[set[str]] = []
    view.observe(lambda change: seen.append(set(change["new"])), "selected_ids")
    view.selected = view.runs[view.runs["params.lr"] > 0.05]
    assert seen == [{run_id_of(4), run_id_of(5)}]
    with pytest.raises(InvalidRequest, match="There is no run"):
        view.selected_ids = ["nobody"]


def test_axes_are_the_parameters_that_differ_and_the_metrics(view: CompareView) -> None:
    assert view.axes == ["params.lr", "params.seed", "metrics.accuracy", "metrics.val/loss @1"]
    assert view.colour_by == "metrics.accuracy"
    heads = {head["name"]: head["mode"] for head in view._data["heads"]}
    assert heads["metrics.val/loss @1"] == "min"
    assert set(view.axes) <= set(view._data["columns"])


def test_axes_may_be_chosen_by_the_names_people_say(view: CompareView) -> None:
    view.axes = ["lr", "metrics.accuracy"]
    assert view.axes == ["params.lr", "metrics.accuracy"]
    with pytest.raises(InvalidRequest, match=r"Did you mean"):
        view.axes = ["params.lrr"]


def test_curves_travel_as_one_block_per_metric(view: CompareView) -> None:
    accuracy, loss = view._curves
    assert (accuracy["key"], accuracy["mode"], loss["mode"]) == ("accuracy", "max", "min")
    ends = np.frombuffer(loss["ends"], dtype="<i4")
    assert ends.tolist() == [20, 40, 60, 80, 100, 120]
    assert len(np.frombuffer(loss["values"], dtype="<f8")) == 120


def test_points_are_read_from_the_store_where_the_runs_come_from() -> None:
    with memory_connection() as box:
        for number in range(3):
            with box.start("digits", params={"lr": 10.0**-number}) as run:
                for step in range(30):
                    run.log(loss=1 / (step + 1 + number), step=step)
        view = CompareView(modelbox.experiments(connection=box), connection=box)
    assert [curves["key"] for curves in view._curves] == ["loss"]
    assert len(np.frombuffer(view._curves[0]["rows"], dtype="<i4")) == 3


def test_runs_without_points_are_compared_all_the_same() -> None:
    frame, _ = search(4)
    frame.attrs.clear()
    view = CompareView(frame)
    assert view._curves == []
    assert "polyline" in picture(view)


def test_what_is_saved_has_table_and_picture_and_stays_small() -> None:
    runs, points = search(200, steps=100)
    bundle, _ = CompareView(runs, points).static_bundle()
    assert "modelbox-table" in bundle["text/html"]
    assert len(bundle["text/html"]) < 900_000
    assert bundle["text/plain"].startswith("200 runs")


def test_a_picture_shows_every_run_and_no_number_that_is_none(view: CompareView) -> None:
    svg = picture(view)
    assert svg.count("<polyline") == 6 + 2 * 6
    assert not re.search(r"\bnan\b|\binf\b", re.sub(r"<text.*?</text>", "", svg))


def test_numbers_at_the_edge_have_a_place_in_the_picture() -> None:
    column = pd.Series([-1.7e308, 1.7e308, np.nan, np.inf])
    axis = still_axis(column, "huge", None)
    assert axis.places[:2].tolist() == [0.0, 1.0]
    assert np.isnan(axis.places[2:]).all()
    assert still_axis(pd.Series([1.0, 100.0, 10.0]), "log", None).places.tolist() == pytest.approx([0.0, 1.0, 0.5])
    assert still_axis(pd.Series([1.0, 2.0]), "loss", "min").places.tolist() == [1.0, 0.0]
    assert still_axis(pd.Series([np.nan, np.nan]), "nothing", None).ticks == []
    assert still_svg([axis], [], ["red"] * 4) == ""
    assert "polyline" in still_svg([], [StillCurves("one point", [(0, np.array([3.0]), np.array([5.0]))])], ["red"])
    assert len(set(colours_of(30, np.linspace(0, 1, 30)))) > 20


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_of_users_are_only_ever_text(name: str) -> None:
    view = CompareView(*search(4, name=name, loss=name, param=name))
    html = view.static_bundle()[0]["text/html"]
    assert "<img src=x" not in html
    assert "</script>" not in html
    svg = picture(view)
    assert "<img" not in svg
    assert "</script>" not in svg


def test_the_chart_can_be_had_as_vega_lite(view: CompareView) -> None:
    content, _ = view.answer("spec", {})
    assert content["spec"]["$schema"].startswith("https://vega.github.io/schema/vega-lite/v6")


def test_one_run_is_not_compared() -> None:
    with pytest.raises(InvalidRequest, match="A comparison needs at least 2 runs"):
        CompareView(*search(1))
