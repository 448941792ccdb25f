"""Widgets in a real JupyterLab: operated by hand, read by the next cell, and never blank when their kernel is gone."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import BrowserContext, expect

from modelbox_server.testing.browser import LabPage, open_lab
from modelbox_server.testing.lab import Lab
from modelbox_widgets.base import WIDGET, WIDGET_VIEW

NOTEBOOK = "widgets.ipynb"
HOSTILE = "</script><img src=x onerror=window.owned=1>"
RUNS = f"""
import numpy as np, pandas as pd
random = np.random.default_rng(0)

def made(count):
    rate, width = 10 ** random.uniform(-4, -1, count), random.choice([32, 64, 128, 256], count)
    optimizer = random.choice(["adam", "lion", "sgd"], count)
    loss = 0.1 + np.abs(np.log10(rate) + 2.3) * 0.2 + 8 / width + random.normal(0, 0.03, count)
    runs = pd.DataFrame({{
        "experiment_id": [f"{{i:040x}}" for i in range(count)],
        "name": [f"digits-{{i}}" for i in range(count)],
        "status": random.choice(["finished"] * 8 + ["failed", "running", "interrupted"], count),
        "started_at": pd.Timestamp.now("UTC") - pd.to_timedelta(np.arange(count) * 11, unit="min"),
        "params.learning_rate": rate, "params.hidden": width, "params.optimizer": optimizer,
        "metrics.val/loss": loss, "metrics.val/accuracy": 1 - loss / 2,
    }})
    runs.loc[0, "name"] = {HOSTILE!r}
    return runs
"""
TABLE = """
from modelbox_widgets import CompareView, RunTable
table = RunTable(made(10_000))
table
"""
COMPARE = """
runs, steps = made(24), np.arange(40)

def curve(run, key, first):
    last = runs.loc[run.Index, f"metrics.{key}"]
    values = last + (first - last) * np.exp(-steps * last / 3 if key == 'val/accuracy' else -steps / (2 + 12 * last))
    return pd.DataFrame({"experiment_id": run.experiment_id, "key": key, "step": steps, "value": values})

starts = {"val/loss": 2, "val/accuracy": 0.1}
points = pd.concat([curve(run, key, first) for run in runs.itertuples() for key, first in starts.items()])
view = CompareView(runs, points)
view
"""
READ_TABLE = """
has_best = table.selected["metrics.val/loss"].min() == table.shown["metrics.val/loss"].iloc[0]
print(f"{len(table.selected)} selected in the table, with the best: {has_best}")
"""
READ_VIEW = "print(f'{len(view.selected)} selected by hand')"

EXPORTS = {
    "Picture (PNG)": "comparison.png",
    "Drawing (SVG)": "comparison.svg",
    "Page (HTML)": "comparison.html",
    "Table (CSV)": "comparison.csv",
    "Specification (JSON)": "comparison.json",
}

pytestmark = pytest.mark.timeout(300)


def notebook(path: Path, *cells: nbformat.NotebookNode) -> str:
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells), metadata=kernel), path)
    return path.name


@pytest.fixture(scope="module")
def story(profile: BrowserContext, lab: Lab) -> Iterator[LabPage]:
    """One page for the whole story: each test goes on where the one before it stopped."""
    name = notebook(lab.notebooks / NOTEBOOK, *map(nbformat.v4.new_code_cell, (RUNS, TABLE, READ_TABLE, COMPARE, READ_VIEW)))
    with open_lab(profile, lab) as page:
        page.page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.open_notebook(name)
        page.run_all()
        page.wait_until_ran()
        yield page
        expect.set_options(timeout=5000)
        assert page.errors == []
        assert page.foreign_requests == []


def read_by(shown: LabPage, source: str, text: str) -> None:
    """Run the cell that contains `source` until it prints `text`: what was selected last may still be on its way to the kernel."""
    for _ in range(20):
        output = shown.output_of(source)
        shown.command("notebook:run-cell")
        try:
            expect(output).to_contain_text(text, timeout=2000)
        except AssertionError:
            continue
        return
    expect(shown.output_of(source)).to_contain_text(text)


def drag(shown: LabPage, start: tuple[float, float], end: tuple[float, float]) -> None:
    shown.page.mouse.move(*start)
    shown.page.mouse.down()
    shown.page.mouse.move(*end, steps=6)
    shown.page.mouse.up()


def test_a_table_of_10_000_runs_scrolls_and_draws_only_what_can_be_seen(story: LabPage) -> None:
    table = story.output_of("RunTable(made")
    expect(table.locator(".mbw-count")).to_have_text("10,000 runs")
    rows = table.locator(".mbw-body .mbw-row")
    expect(rows.first).to_contain_text(HOSTILE)
    assert rows.count() < 60
    table.locator(".mbw-grid").evaluate("grid => { grid.scrollTop = grid.scrollHeight; }")
    expect(table.get_by_text("digits-9999", exact=True)).to_be_visible()
    assert rows.count() < 60
    assert story.page.evaluate("() => window.owned") is None


def test_a_table_is_filtered_by_a_query_and_shows_where_one_is_wrong(story: LabPage) -> None:
    table = story.output_of("RunTable(made")
    box = table.get_by_role("searchbox", name="Filter by a query")
    box.fill("params.hidden = 256 and params.optimiser = adam")
    box.press("Enter")
    expect(table.locator(".mbw-count")).to_contain_text("0 of 10,000 runs")
    box.fill("params.hidden >> 256")
    expect(table.get_by_role("alert")).to_contain_text("^")
    expect(table.locator(".mbw-count")).to_contain_text("0 of 10,000 runs")
    box.fill("params.hidden = 256 and params.optimizer = adam")
    expect(table.get_by_role("alert")).to_be_hidden()
    expect(table.locator(".mbw-count")).to_have_text(re.compile(r"^\d{3} of 10,000 runs"))


def test_rows_that_are_selected_by_keyboard_are_read_by_the_next_cell(story: LabPage) -> None:
    table = story.output_of("RunTable(made")
    head = table.get_by_role("columnheader", name="val/loss")
    head.click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    grid = table.get_by_role("grid")
    grid.focus()
    for key in ("Home", "ArrowDown", "Shift+ArrowDown", "Shift+ArrowDown", "Shift+ArrowDown", "Shift+ArrowUp", "ArrowRight"):
        grid.press(key)
    selected = int(grid.locator(".mbw-body [aria-selected=true]").count())
    assert selected == 3
    for key in ("Home", "Space"):
        grid.press(key)
    table.locator(".mbw-body .mbw-row").nth(3).dblclick(modifiers=["Control"])  # twice: what it selects it takes back
    expect(table.locator(".mbw-pinned .mbw-row")).to_have_count(1)
    expect(table.locator(".mbw-body [data-verdict=better]").first).to_be_visible()
    expect(table.locator(".mbw-count")).to_contain_text(f"{selected + 1} selected")
    story.screenshot("run table", table)
    with story.theme("JupyterLab Dark"):
        story.screenshot("run table dark", table)
    read_by(story, "table.selected[", f"{selected + 1} selected in the table, with the best: True")


def test_brushing_an_axis_changes_what_the_next_cell_reads(story: LabPage) -> None:
    view = story.output_of("CompareView(runs")
    expect(view.locator(".mbw-parallel .mbw-lines path")).to_have_count(24)
    expect(view.locator(".mbw-curves .mbw-lines path")).to_have_count(48)
    axis = view.get_by_role("slider", name="val/loss")
    box = axis.locator(".mbw-hit").bounding_box()
    assert box
    x = box["x"] + box["width"] / 2
    drag(story, (x, box["y"] + 2), (x, box["y"] + box["height"] / 4))  # smaller is better, and above
    expect(view.locator(".mbw-count")).to_contain_text("selected")
    brushed = view.locator(".mbw-parallel .mbw-lines path:not(.mbw-off)").count()
    assert 0 < brushed < 20
    assert view.locator(".mbw-curves .mbw-lines path:not(.mbw-off)").count() == 2 * brushed
    expect(view.locator(".mbw-count")).to_have_text(f"24 runs · {brushed} selected")
    with story.tall(1300):
        expect(view.locator(".mbw-body .mbw-row").nth(9)).to_be_visible()
        story.screenshot("compare view", view)
        with story.theme("JupyterLab Dark"):
            # A narrower window draws everything anew, and what is selected stays so.
            assert view.locator(".mbw-curves .mbw-lines path:not(.mbw-off)").count() == 2 * brushed
            assert view.locator(".mbw-grid").evaluate("grid => getComputedStyle(grid).backgroundColor") != "rgb(255, 255, 255)"
            story.screenshot("compare view dark", view)
    read_by(story, READ_VIEW, f"{brushed} selected by hand")


def test_axes_are_brushed_and_moved_by_keyboard(story: LabPage) -> None:
    view = story.output_of("CompareView(runs")
    view.get_by_role("button", name="Clear").click()
    expect(view.locator(".mbw-count")).to_have_text("24 runs")
    axis = view.get_by_role("slider", name="optimizer")
    axis.focus()
    axis.press("ArrowDown")
    expect(axis).to_have_attribute("aria-valuetext", "adam, lion")
    axis.press("Shift+ArrowUp")
    expect(axis).to_have_attribute("aria-valuetext", "lion")
    chosen = view.locator(".mbw-parallel .mbw-lines path:not(.mbw-off)").count()
    read_by(story, READ_VIEW, f"{chosen} selected by hand")
    axis.focus()
    axis.press("Alt+ArrowLeft")
    expect(view.get_by_role("slider").nth(1)).to_have_attribute("aria-label", "optimizer")
    axis.press("Escape")
    expect(view.locator(".mbw-count")).to_have_text("24 runs")


def test_a_box_over_curves_selects_the_runs_that_go_through_it(story: LabPage) -> None:
    view = story.output_of("CompareView(runs")
    plot = view.locator(".mbw-curves svg").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    right = box["x"] + box["width"] - 40
    drag(story, (right, box["y"] + 8), (right + 25, box["y"] + box["height"] / 3))
    expect(view.locator(".mbw-count")).to_contain_text("selected")
    selected = view.locator(".mbw-curves figure").first.locator(".mbw-lines path:not(.mbw-off)").count()
    assert 0 < selected < 24
    expect(view.locator(".mbw-count")).to_have_text(f"24 runs · {selected} selected")


def test_what_is_shown_is_saved_as_picture_page_table_and_specification(story: LabPage) -> None:
    view = story.output_of("CompareView(runs")
    found = {}
    for label, name in EXPORTS.items():
        view.get_by_role("button", name="Export").click()
        with story.page.expect_download() as download:
            view.get_by_role("menuitem", name=label).click()
        assert download.value.suggested_filename == name
        found[name] = download.value.path().read_bytes()
    assert found["comparison.png"].startswith(b"\x89PNG")
    assert len(found["comparison.png"]) > 20_000
    assert found["comparison.svg"].count(b"<path") >= 24
    assert b"modelbox-picture" in found["comparison.html"]
    assert found["comparison.csv"].startswith(b"experiment_id,run,params.learning_rate,")
    assert json.loads(found["comparison.json"])["$schema"].startswith("https://vega.github.io/schema/vega-lite/v6")


def test_after_a_restart_and_a_reload_every_output_shows_what_was_saved(story: LabPage) -> None:
    live = story.page.locator(".modelbox-widget")
    story.save()
    story.open()  # the same kernel goes on
    story.open_notebook(NOTEBOOK)
    story.output_of("RunTable(made")
    expect(story.output_of("CompareView(runs").locator(".mbw-parallel")).to_be_visible()

    story.page.evaluate("() => { void window.jupyterapp.shell.currentWidget.sessionContext.restartKernel(); }")
    expect(story.output_of("CompareView(runs").locator("img.modelbox-picture")).to_be_visible()

    story.open()  # another kernel, which has never heard of the widgets
    story.open_notebook(NOTEBOOK)
    saved = story.output_of("CompareView(runs")
    expect(saved.locator("img.modelbox-picture")).to_be_visible()
    expect(saved.locator(".modelbox-table")).to_contain_text("adam")
    with story.tall(1500):
        story.screenshot("compare view saved", saved)
    expect(story.output_of("RunTable(made").locator(".modelbox-table")).to_contain_text("digits-1")
    expect(story.page.locator(".mb-Widget-note").first).to_contain_text("As it was saved")
    expect(live).to_have_count(0)
    expect(story.page.get_by_text("model not found").locator("visible=true")).to_have_count(0)


def test_jupyter_notebook_shows_what_was_saved_too(story: LabPage, lab: Lab) -> None:
    story.page.goto(lab.page(f"notebooks/{NOTEBOOK}"))
    expect(story.page.locator(".mb-Widget img.modelbox-picture")).to_be_visible()


def test_a_notebook_that_is_not_trusted_shows_what_was_saved_and_runs_nothing(story: LabPage, lab: Lab) -> None:
    saved = json.loads((lab.notebooks / NOTEBOOK).read_text())
    (real,) = [output for output in saved["cells"][3]["outputs"] if WIDGET in output["data"]]
    evil = "<script>window.owned = 1</script><img class='evil' src=x onerror='window.owned = 2'>"
    data = {**real["data"], WIDGET_VIEW: {"model_id": "0" * 32}, "text/html": evil + "".join(real["data"]["text/html"])}
    output = nbformat.v4.new_output("display_data", data=data)
    name = notebook(lab.notebooks / "stranger.ipynb", nbformat.v4.new_code_cell("widget", outputs=[output], execution_count=1))
    story.open()
    story.open_notebook(name)
    expect(story.page.locator(".mb-Widget img.modelbox-picture").locator("visible=true")).to_be_visible()
    expect(story.page.locator(".mb-Widget img.evil")).to_be_attached()  # without its handler
    assert story.page.evaluate("() => window.owned") is None
    assert story.page.locator(".mb-Widget-live").count() == 0
