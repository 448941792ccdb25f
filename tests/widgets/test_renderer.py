"""The Altair renderer: found by its entry point, valid in a notebook file, and nothing is fetched."""

import json
import subprocess
import sys
from importlib.metadata import entry_points

import altair as alt
import pytest

from modelbox_widgets.live_spec import SCHEMA, VEGALITE
from modelbox_widgets.picture import png_metadata, png_of
from modelbox_widgets.renderer import render

CHART = {"$schema": SCHEMA, "data": {"values": [{"a": 1}]}, "mark": "point", "encoding": {"x": {"field": "a", "type": "quantitative"}}}


def test_altair_finds_it_by_name() -> None:
    names = {point.name: point.value for point in entry_points(group="altair.vegalite.v6.renderer")}
    if "modelbox" not in names:
        pytest.skip("the distribution is not installed here, only its sources are on the path")
    with alt.renderers.enable("modelbox"):
        data, _ = alt.Chart.from_dict(CHART)._repr_mimebundle_(None, None)
    assert set(data) == {VEGALITE, "image/png", "text/plain"}


def test_the_picture_has_the_size_of_the_chart_and_says_in_words_what_it_shows() -> None:
    bundle, metadata = render(CHART)
    assert metadata["image/png"] == {**png_metadata(bundle["image/png"]), "alt": bundle["text/plain"]}
    assert 200 < metadata["image/png"]["width"] < 500


def test_a_chart_that_cannot_be_drawn_has_no_picture_but_is_shown() -> None:
    bundle, metadata = render({"mark": 7})
    assert set(bundle) == {VEGALITE, "text/plain"}
    assert metadata == {}


def test_no_address_in_a_chart_is_opened() -> None:
    """A notebook of somebody else must not make the kernel call out."""
    here = {**CHART, "data": {"url": "http://127.0.0.1:9/points.json"}}
    png = png_of(here)
    assert png is None or len(png) < len(png_of(CHART) or b"") * 2


def test_translucent_colours_keep_their_hue() -> None:
    """vl-convert makes them grey on a transparent ground."""
    faint = {**CHART, "background": "transparent", "mark": {"type": "rect", "color": "#54a24b", "opacity": 0.3}}
    grey = {**faint, "mark": {"type": "rect", "color": "#808080", "opacity": 0.3}}
    assert png_of(faint) != png_of(grey)


def test_packages_that_draw_are_loaded_only_when_something_is_drawn() -> None:
    code = "import sys, modelbox_widgets, modelbox_widgets.live_spec, modelbox_widgets.renderer; print([m for m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = set(json.loads(done.stdout.replace("'", '"')))
    assert not loaded & {"altair", "vl_convert", "ipywidgets", "anywidget"}
