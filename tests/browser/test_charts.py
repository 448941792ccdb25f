"""Vega-Lite 6 outputs: drawn, followed while an experiment runs, and safe."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import BrowserContext, expect

from modelbox_server.testing.browser import LabPage, open_lab
from modelbox_server.testing.lab import Lab

MIME = "application/vnd.vegalite.v6+json"
METRIC = "val/loss @1"
EXPERIMENT = "e" * 40

Json = dict[str, Any]


def spec(rows: list[Json], **changes: object) -> Json:
    """A line per run, as the live chart draws it."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"name": "points", "values": rows},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "step", "type": "quantitative"},
            "y": {"field": "value", "type": "quantitative"},
            "color": {"field": "run", "type": "nominal"},
            "detail": {"field": "key"},
        },
        **changes,
    }


def row(step: int, value: float | None, run: str = "a <b> 'run'") -> Json:
    return {"run": run, "run_id": EXPERIMENT, "key": METRIC, "step": step, "wall_ms": step * 1000, "value": value}


def live(**changes: object) -> Json:
    return {MIME: {"modelbox": {"live": {"objects": [EXPERIMENT], "keys": None, "interval_ms": 200, **changes}}}}


def notebook(path: Path, data: Json, metadata: Json | None = None) -> str:
    """Write a notebook that holds one output and has never seen a kernel, and return its name."""
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata or {})
    cell = nbformat.v4.new_code_cell("chart", outputs=[output], execution_count=1)
    book = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    nbformat.write(book, path)
    return path.name


def trust(lab: Lab, name: str) -> None:
    """Say that the notebook is ours, as `jupyter trust` does."""
    status, _ = lab.request("POST", f"api/contents/{name}/trust", {})
    assert status == 201


@pytest.fixture
def running(lab: Lab) -> Lab:
    """An experiment that runs, with three points, fed by nobody but the test."""
    lab.request("DELETE", f"modelbox/api/v1/experiments/{EXPERIMENT}")
    lab.api("POST", "experiments", {"name": "followed", "id": EXPERIMENT, "namespace": "équipe/vision"})
    log(lab, [1.0, 0.5, 0.25])
    return lab


def log(lab: Lab, values: list[float | str], first_step: int = 0) -> None:
    steps = list(range(first_step, first_step + len(values)))
    lab.api("POST", "metrics", {"series": [{"object_id": EXPERIMENT, "key": METRIC, "values": values, "steps": steps}]})


def test_a_chart_is_drawn_and_its_labels_are_literal(shown: LabPage, lab: Lab) -> None:
    name = notebook(lab.notebooks / "plain.ipynb", {MIME: spec([row(0, 1.0), row(1, None), row(2, 0.5)]), "text/plain": "chart"})
    trust(lab, name)
    shown.open_without_kernel(name)
    expect(shown.charts()).to_have_count(1)
    expect(shown.page.locator(".mb-Chart")).to_contain_text("a <b> 'run'")
    shown.screenshot("chart plain", shown.page.locator(".jp-Notebook"))


def test_our_renderer_wins_over_a_widget_view_in_the_same_bundle(shown: LabPage, lab: Lab) -> None:
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "0" * 32, "version_major": 2, "version_minor": 0}}
    name = notebook(lab.notebooks / "both.ipynb", {**widget, MIME: spec([row(0, 1.0)]), "image/png": "aGVsbG8="})
    trust(lab, name)
    shown.open_without_kernel(name)
    expect(shown.charts()).to_have_count(1)


def test_a_running_experiment_is_followed_with_no_kernel_until_it_ends(shown: LabPage, running: Lab) -> None:
    name = notebook(running.notebooks / "live.ipynb", {MIME: spec([row(0, 1.0, "my run")])}, live())
    trust(running, name)
    shown.open_without_kernel(name)
    points = shown.charts().locator(".mark-symbol.role-mark path")
    expect(points).to_have_count(3)
    expect(shown.page.locator(".mb-Chart-status")).to_have_text("live")
    log(running, [0.2, "NaN", 0.1], first_step=3)
    expect(points).to_have_count(5)
    expect(shown.page.locator(".mb-Chart")).to_contain_text("my run")
    shown.screenshot("chart live", shown.page.locator(".jp-Notebook"))
    log(running, [0.05], first_step=6)
    running.api("PATCH", f"experiments/{EXPERIMENT}", {"status": "finished"})
    expect(points).to_have_count(6)
    expect(shown.page.locator(".mb-Chart-status")).to_be_hidden()
    _, kernels = running.request("GET", "api/kernels")
    assert kernels == []


def test_a_long_experiment_is_drawn_thinned(shown: LabPage, running: Lab) -> None:
    log(running, [float(i % 97) for i in range(50_000)], first_step=3)
    asked: list[Any] = []
    shown.page.on("request", lambda request: asked.append(request.post_data_json) if "metrics/read" in request.url else None)
    name = notebook(running.notebooks / "long.ipynb", {MIME: spec([], mark="line")}, live())
    trust(running, name)
    shown.open_without_kernel(name)
    expect(shown.charts().locator(".mark-line path").first).to_be_visible()
    assert asked
    assert all(query["max_points"] == 2000 for query in asked)


def test_an_experiment_that_is_gone_leaves_its_last_picture_and_a_sentence(shown: LabPage, running: Lab) -> None:
    running.api("DELETE", f"experiments/{EXPERIMENT}")
    name = notebook(running.notebooks / "gone.ipynb", {MIME: spec([row(0, 1.0), row(1, 0.5)])}, live())
    trust(running, name)
    shown.open_without_kernel(name)
    expect(shown.page.locator(".mb-Chart-status")).to_contain_text("not followed")
    expect(shown.charts().locator(".mark-symbol.role-mark path")).to_have_count(2)


def test_charts_follow_the_theme(shown: LabPage, lab: Lab) -> None:
    name = notebook(lab.notebooks / "dark.ipynb", {MIME: spec([row(0, 1.0), row(1, 2.0)])})
    trust(lab, name)
    shown.open_without_kernel(name)
    label = shown.charts().locator(".role-axis-label text").first
    light = label.get_attribute("fill")
    with shown.theme("JupyterLab Dark"):
        expect(label).not_to_have_attribute("fill", light or "")
        shown.screenshot("chart dark", shown.page.locator(".jp-Notebook"))


def test_a_chart_as_wide_as_its_container_follows_it(shown: LabPage, lab: Lab) -> None:
    name = notebook(lab.notebooks / "wide.ipynb", {MIME: spec([row(0, 1.0), row(1, 2.0)], width="container")})
    trust(lab, name)
    shown.open_without_kernel(name)
    shown.charts().wait_for()
    wide = shown.charts().bounding_box()
    shown.page.set_viewport_size({"width": 900, "height": 900})
    shown.page.wait_for_function(
        "was => document.querySelector('.mb-Chart svg.marks').getBoundingClientRect().width < was - 200", arg=wide and wide["width"]
    )


def test_a_notebook_that_is_not_trusted_reaches_nothing_outside_itself(profile: BrowserContext, running: Lab) -> None:
    """Neither data nor pictures from elsewhere, nor questions to the server, nor generated JavaScript."""
    marker = "https://evil.invalid/steal"
    evil = spec(
        [row(0, 1.0), row(1, 0.5)],
        layer=[
            {"mark": "line"},
            {"data": {"url": f"{marker}.json"}, "mark": "bar"},
            {"mark": "image", "encoding": {"url": {"value": f"{marker}.png"}}},
        ],
        usermeta={"embedOptions": {"ast": False, "loader": {"baseURL": marker}, "actions": True}},
    )
    del evil["mark"]
    calculated = spec([row(0, 1.0)], transform=[{"calculate": "constructor.constructor('window.owned = 1')()", "as": "step"}])
    for i, chart in enumerate([evil, calculated]):
        with open_lab(profile, running) as shown:
            asked: list[str] = []
            shown.page.on("request", lambda request, asked=asked: asked.append(request.url))
            shown.open_without_kernel(notebook(running.notebooks / f"evil{i}.ipynb", {MIME: chart}, live()))
            shown.page.locator(".mb-Chart").wait_for()
            shown.page.wait_for_timeout(1500)
            assert shown.page.evaluate("() => window.owned") is None
            assert shown.foreign_requests == []
            assert not [url for url in asked if "modelbox/api" in url and "frames" not in url], json.dumps(asked)


def test_an_output_that_is_no_chart_says_so(shown: LabPage, lab: Lab) -> None:
    name = notebook(lab.notebooks / "broken.ipynb", {MIME: {"mark": "no such mark", "data": {"values": []}}})
    trust(lab, name)
    shown.open_without_kernel(name)
    expect(shown.page.locator(".mb-Chart-error")).to_contain_text("The chart could not be drawn:")


def test_a_chart_is_drawn_in_jupyter_notebook_too(shown: LabPage, lab: Lab) -> None:
    name = notebook(lab.notebooks / "seven.ipynb", {MIME: spec([row(0, 1.0), row(2, 0.5)])})
    trust(lab, name)
    shown.page.goto(lab.page(f"notebooks/{name}"))
    expect(shown.charts()).to_have_count(1, timeout=60_000)
    shown.screenshot("chart notebook 7")
