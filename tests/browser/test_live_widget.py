"""LiveChart in a real JupyterLab: it moves while something trains, fetches what is zoomed to, and stays when its kernel is gone."""

import os
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from modelbox_server.testing.browser import SCREENSHOTS_VARIABLE, LabPage, open_lab
from modelbox_server.testing.lab import Lab

HOSTILE = "<img src=x onerror=alert(1)> 'run' 🎉"

TRAIN = f"""
import math, random, threading, time
import modelbox

stop = threading.Event()

def train(run, pull):
    step = 0
    while not stop.wait(0.02):
        noise = random.random() * 0.08
        run.log({{"loss": math.exp(-step * pull) + noise, "val/accuracy @1": 1 - math.exp(-step * pull) - noise}}, step=step)
        step += 1

runs = [modelbox.start(name, namespace="équipe/vision") for name in ("adam", "sgd", {HOSTILE!r})]
threads = [threading.Thread(target=train, args=(run, 0.02 / (i + 1)), daemon=True) for i, run in enumerate(runs)]
for thread in threads:
    thread.start()
chart = modelbox.live(runs)
chart
"""
BUSY = "time.sleep(600)"
END = "stop.set()\nfor thread in threads: thread.join()\nfor run in runs: run.finish()\nchart.smoothing = 0.6"
LONG = """
import numpy as np
from modelbox.entities.series import SeriesBlock

long = modelbox.start("a million", namespace="équipe/vision")
n = 1_000_000
values = np.sin(np.arange(n) / 40_000) + np.random.default_rng(0).normal(0, 0.05, n)
values[700_007] = 9.0
block = SeriesBlock(object_id=long.id, key="reward", steps=np.arange(n), wall_times_us=np.arange(n) * 1000, values=values)
modelbox.connect().session.transport.append_metrics([block], client="c" * 40, batch=1)
long.finish()
million = modelbox.live(long)
million
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def write(path: Path, *cells: str) -> None:
    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(book, path)


@pytest.fixture(scope="module")
def shown(profile: BrowserContext, lab: Lab) -> Iterator[LabPage]:
    """One page for the whole story: each test goes on where the one before it stopped."""
    write(lab.notebooks / "live widget.ipynb", TRAIN, END, LONG, BUSY)
    with open_lab(profile, lab) as page:
        page.page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        page.open_notebook("live widget.ipynb")
        yield page
        expect.set_options(timeout=5_000)


def run(shown: LabPage, source: str) -> Locator:
    """Start running the cell that contains `source`, and return its output."""
    output = shown.output_of(source)
    shown.command("notebook:run-cell")
    return output


def points(plot: Locator) -> int:
    return int(plot.get_attribute("data-points") or 0)


def grows(page: Page, more_than: int, at: int = 0) -> None:
    page.wait_for_function("([at, n]) => Number(document.querySelectorAll('.mbl canvas')[at]?.dataset.points) > n", arg=[at, more_than])


def test_it_moves_while_something_trains(shown: LabPage) -> None:
    run(shown, TRAIN)
    plots = shown.page.locator(".mbl canvas")
    expect(plots).to_have_count(2)
    grows(shown.page, 30)
    grows(shown.page, points(plots.first) + 100)
    expect(shown.page.locator(".mbl-state")).to_contain_text("live, 3 running")
    expect(shown.page.locator(".mbl-legend")).to_contain_text(HOSTILE)
    grows(shown.page, 600)
    plots.first.hover(position={"x": 300, "y": 60})
    expect(shown.page.locator(".mbl-tip").first).to_contain_text(HOSTILE)
    shown.screenshot("live widget", shown.page.locator(".mb-Widget"))


def test_names_are_text_and_runs_are_hidden_and_shown_from_the_legend(shown: LabPage) -> None:
    page = shown.page
    legend = page.locator(".mbl-legend button")
    expect(legend).to_have_count(3)
    assert page.locator(".mb-Widget img").count() == 0
    legend.nth(0).click()
    expect(legend.nth(0)).to_have_attribute("aria-pressed", "false")
    legend.nth(1).focus()
    page.keyboard.press("o")
    expect(legend.nth(2)).to_have_attribute("aria-pressed", "false")
    expect(legend.nth(1)).to_have_attribute("aria-pressed", "true")
    legend.nth(1).click(modifiers=["Shift"])
    expect(page.locator(".mbl-legend button[aria-pressed='true']")).to_have_count(3)


def test_the_end_of_the_runs_is_the_end_of_the_chart(shown: LabPage) -> None:
    run(shown, END)
    shown.output_of(TRAIN)
    expect(shown.page.locator(".mbl-legend .mbw-badge")).to_have_count(0)
    expect(shown.page.locator(".mbl-state")).to_have_text("")
    expect(shown.page.locator(".mbl input[type=range]").first).to_have_value("0.6")
    with shown.theme("JupyterLab Dark"):
        shown.screenshot("live widget dark", shown.page.locator(".mb-Widget").first)
    shown.screenshot("live widget ended", shown.page.locator(".mb-Widget").first)


def test_what_is_drawn_is_saved_as_picture_drawing_page_and_table(shown: LabPage, tmp_path: Path) -> None:
    output = shown.output_of(TRAIN)
    begins = {"PNG": b"\x89PNG", "SVG": b"<svg", "HTML": b"<!doctype html>", "CSV": b"run,experiment_id,metric,step,value\n"}
    for kind, begin in begins.items():
        output.get_by_role("button", name="Export").click()
        with shown.page.expect_download() as download:
            output.get_by_role("menuitem", name=kind).click()
        data = Path(download.value.path()).read_bytes()
        assert data.startswith(begin), kind
        assert len(data) > 2000
        if kind == "SVG":
            text = data.decode()
            assert "&lt;img src=x" in text
            assert "<img" not in text
            drawing = tmp_path / "drawing.svg"
            drawing.write_bytes(data)
            page = shown.page.context.new_page()
            page.goto(drawing.as_uri())
            assert page.locator("path[stroke]").count() >= 6
            if folder := os.environ.get(SCREENSHOTS_VARIABLE):
                page.screenshot(path=Path(folder) / "live-widget-drawing.png")
            page.close()


def test_of_a_million_points_a_zoom_fetches_what_it_shows(shown: LabPage) -> None:
    page = shown.page
    output = run(shown, LONG)
    plot = output.locator("canvas")
    page.wait_for_function("n => document.querySelectorAll('.mbl').length === n", arg=2)
    plot.wait_for()
    expect(plot).not_to_have_attribute("data-points", "0")
    assert points(plot) < 5000
    shown.screenshot("live widget million", output)
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 100, steps=5)
    page.mouse.up()
    # A fifth of the overview would be four hundred points; the detail has two for each pixel.
    drawn = "() => Number([...document.querySelectorAll('.mbl canvas')].at(-1).dataset.points)"
    page.wait_for_function(f"() => {{ const n = ({drawn})(); return n > 1000 && n < 2000; }}")
    plot.focus()
    for _ in range(16):
        page.keyboard.press("+")
    # Of two hundred thousand steps sixteen times 0.6: every single one of what is left.
    page.wait_for_function(f"() => Math.abs(({drawn})() - 62) < 12")
    shown.screenshot("live widget zoomed", output)
    page.keyboard.press("0")
    expect(output.get_by_role("button", name="Show all")).to_be_disabled()


def test_it_stays_responsive_with_a_million_points(shown: LabPage) -> None:
    """However much there is, no more is drawn than there are pixels to tell apart; how long forty pans take is printed."""
    plot = shown.output_of(LONG).locator("canvas")
    plot.focus()
    shown.page.keyboard.press("+")
    longest_ms, most_points = shown.page.evaluate(
        """async () => {
          const plot = document.activeElement;
          let [longest, most] = [0, 0];
          for (let i = 0; i < 40; i++) {
            const begin = performance.now();
            plot.dispatchEvent(new KeyboardEvent("keydown", { key: i % 4 < 2 ? "ArrowRight" : "ArrowLeft", bubbles: true }));
            await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
            longest = Math.max(longest, performance.now() - begin);
            most = Math.max(most, Number(plot.dataset.points));
          }
          return [longest, most];
        }"""
    )
    print(f"longest of 40 pans over 1,000,000 points: {longest_ms:.0f} ms")
    assert 100 < most_points < 10_000


def test_values_are_read_out_by_keyboard(shown: LabPage) -> None:
    output = shown.output_of(LONG)
    output.locator("canvas").focus()
    shown.page.keyboard.press("0")
    shown.page.keyboard.press("Shift+ArrowRight")
    shown.page.keyboard.press("Shift+ArrowRight")
    expect(output.locator(".mbw-unseen[role=status]")).to_contain_text("a million")
    expect(output.locator(".mbl-tip")).to_be_visible()


def test_a_zoom_is_answered_while_a_cell_runs(shown: LabPage) -> None:
    page = shown.page
    run(shown, BUSY)
    shown.output_of(LONG).locator("canvas").focus()
    for _ in range(20):
        page.keyboard.press("+")
    page.wait_for_function("() => Math.abs(Number([...document.querySelectorAll('.mbl canvas')].at(-1).dataset.points) - 38) < 5")
    assert page.evaluate("() => [...window.jupyterapp.shell.currentWidget.content.model.cells].at(-1).executionState") == "running"


def test_everything_is_still_shown_with_the_kernel_gone_and_the_page_reloaded(shown: LabPage, profile: BrowserContext, lab: Lab) -> None:
    assert shown.foreign_requests == []
    assert shown.errors == []
    shown.save()
    _, kernels = lab.request("GET", "api/kernels")
    for kernel in kernels:
        lab.request("DELETE", f"api/kernels/{kernel['id']}")
    with open_lab(profile, lab) as later:
        later.open_without_kernel("live widget.ipynb")
        for source in ("chart = modelbox.live", LONG):
            expect(later.output_of(source).locator("svg.marks").first).to_be_visible()
        expect(later.output_of(TRAIN)).to_contain_text("finished")
        later.screenshot("live widget after reload")
        assert later.foreign_requests == []
