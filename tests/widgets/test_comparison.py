"""The comparison as text, as HTML and as a bundle."""

import json
import re

import nbformat
import pandas as pd
import pytest
from IPython.utils.capture import capture_output

from modelbox.errors import InvalidRequest
from modelbox_widgets.comparison import Comparison, main_metrics
from modelbox_widgets.live_spec import VEGALITE
from modelbox_widgets.testing import HOSTILE_NAMES, search


def test_the_best_run_stands_first_and_is_named() -> None:
    runs, points = search(runs=6)
    text = repr(Comparison(runs, points))
    assert text.startswith("6 runs · 3 settings differ · best accuracy 0.999")
    assert re.search(r"accuracy ↑ +val/loss @1 ↓", text)
    first = text.splitlines()[4]
    assert "0.1 " in first


@pytest.mark.usefixtures("shell")
def test_a_notebook_shows_a_table_and_a_chart_that_both_stay() -> None:
    runs, points = search()
    with capture_output() as captured:
        Comparison(runs, points)._ipython_display_()
    table, chart = [output.data for output in captured.outputs]
    assert set(table) == {"text/html", "text/plain"}
    assert set(chart) == {VEGALITE, "image/png", "text/plain"}
    assert chart["image/png"].startswith(b"\x89PNG")
    json.dumps(chart[VEGALITE], allow_nan=False)


def test_a_program_gets_everything_in_one_bundle_that_a_notebook_file_may_hold() -> None:
    runs, points = search()
    bundle, metadata = Comparison(runs, points)._repr_mimebundle_()
    assert set(bundle) == {VEGALITE, "image/png", "text/html", "text/plain"}
    kept = {key: value for key, value in bundle.items() if key != "image/png"}
    nbformat.validate(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", kept)])]))
    assert metadata["image/png"]["width"] > 300


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_are_shown_literally_and_are_never_markup(name: str) -> None:
    runs, points = search(runs=3, steps=3, name=name, loss=f"{name} loss", param=name)
    html = Comparison(runs, points, metrics=[f"{name} loss"])._repr_html_()
    assert "<img" not in html
    assert "</script" not in html


@pytest.mark.usefixtures("shell")
def test_runs_without_metrics_are_compared_by_what_they_have() -> None:
    runs, points = search()
    bare = runs[[column for column in runs.columns if not column.startswith("metrics.")]]
    comparison = Comparison(bare, points.iloc[:0])
    assert comparison.metrics == []
    assert "no numeric metric" in comparison._repr_html_()
    with capture_output() as captured:
        comparison._ipython_display_()
    assert len(captured.outputs) == 2  # the settings still have parallel coordinates


def test_runs_that_differ_in_nothing_say_so() -> None:
    runs, points = search(runs=2)
    same = runs.assign(**{"params.seed": 0})
    assert "settings are all the same" in repr(Comparison(same, points))


@pytest.mark.parametrize(("rows", "there"), [(0, "no rows"), (1, "one row")])
def test_too_few_runs_are_refused_with_what_is_there(rows: int, there: str) -> None:
    runs, points = search()
    with pytest.raises(InvalidRequest, match=there):
        Comparison(runs.iloc[:rows], points)


def test_an_unknown_metric_is_refused_with_the_one_that_was_meant() -> None:
    runs, points = search()
    with pytest.raises(InvalidRequest, match="Did you mean 'accuracy'"):
        Comparison(runs, points, metrics=["acuracy"])


def test_metrics_that_tell_most_come_first() -> None:
    names = ["lr", "train/loss", "val/loss", "train/accuracy", "test/accuracy"]
    frame = pd.DataFrame({"experiment_id": ["a", "b"], **{f"metrics.{name}": [0.1, 0.2] for name in names}})
    assert main_metrics(frame) == ["test/accuracy", "train/accuracy", "val/loss", "train/loss", "lr"]


def test_text_among_the_metrics_is_shown_and_not_drawn() -> None:
    runs, points = search()
    runs = runs.assign(**{"metrics.note": ["a", "b", None, "d"]})
    assert "note" not in main_metrics(runs)
    assert Comparison(runs, points).chart is not None
