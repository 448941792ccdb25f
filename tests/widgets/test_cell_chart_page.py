"""The browser's half of the live chart, in a real browser, with a stand-in for the widget manager."""

import base64
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from modelbox.entities.records import Json
from modelbox_server.testing.browser import new_profile, running_chromium

STATIC = Path(__file__).parents[2] / "widgets" / "modelbox_widgets" / "static"

# What anywidget gives to render(): a model with get, on, off and send. Buffers arrive as DataViews at odd offsets.
SHOW = """
async ({ code, state, withVega }) => {
  const module = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const view = text => { const bytes = Uint8Array.from("\\0" + atob(text), c => c.charCodeAt(0)); return new DataView(bytes.buffer, 1); };
  const revive = value => Array.isArray(value) ? value.map(revive) : value && value.$b ? view(value.$b)
    : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, revive(v)])) : value;
  const listeners = {};
  window.sent = [];
  window.state = revive(state);
  window.fire = (name, ...values) => (listeners[name] ?? []).forEach(f => f(...values.map(revive)));
  window.set = (key, value) => { window.state[key] = revive(value); window.fire(`change:${key}`); };
  const model = {
    get: key => window.state[key],
    on: (name, f) => { (listeners[name] ??= []).push(f); },
    off: (name, f) => { listeners[name] = (listeners[name] ?? []).filter(g => g !== f); },
    send: content => window.sent.push(content),
  };
  if (withVega) {
    window.rows = [];
    globalThis[Symbol.for("modelbox.vega")] = async () => async (el, spec) => ({
      view: { data: (_name, rows) => { window.rows = rows; return { runAsync: async () => undefined }; } },
      finalize: () => undefined,
    });
  }
  const el = document.createElement("div");
  document.body.append(el);
  window.cleanUp = await module.default.render({ model, el });
  window.listeners = listeners;
}
"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with running_chromium() as browser, new_profile(browser) as profile:
        yield profile.new_page()


def buffer(*values: float) -> Json:
    return {"$b": base64.b64encode(struct.pack(f"{len(values)}d", *values)).decode()}


def show(page: Page, *, label: str = "run", with_vega: bool = False, series: Json = ()) -> None:
    page.goto("about:blank")
    state = {
        "_runs": [{"id": "r", "label": label, "colour": "#ff0000"}],
        "_spec": {},
        "_snapshot": {"number": 0, "series": list(series)},
    }
    page.evaluate(SHOW, {"code": (STATIC / "cell_chart.js").read_text(), "state": state, "withVega": with_vega})


def points(page: Page, number: int, key: str, steps: list[float], values: list[float]) -> None:
    message = {"type": "points", "number": number, "series": [{"run": "r", "key": key}]}
    page.evaluate("([m, b]) => window.fire('msg:custom', m, b)", [message, [buffer(*steps), buffer(*values)]])


def paths(page: Page) -> list[str]:
    page.wait_for_timeout(300)
    found: list[str] = page.evaluate("() => [...document.querySelectorAll('.modelbox-live path')].map(p => p.getAttribute('d'))")
    return found


@pytest.mark.browser
def test_what_was_known_before_is_drawn_and_increments_extend_it(page: Page) -> None:
    show(page, series=[{"run": "r", "key": "loss", "steps": buffer(0, 1), "values": buffer(1, 0.5)}])
    assert [path.count("L") for path in paths(page)] == [1]
    points(page, 1, "loss", [2, 3], [0.25, 0.125])
    points(page, 2, "accuracy", [0, 1], [0.1, 0.2])
    assert sorted(path.count("L") for path in paths(page)) == [1, 3]


@pytest.mark.browser
def test_numbers_that_are_not_finite_leave_a_gap(page: Page) -> None:
    show(page)
    points(page, 1, "loss", [0, 1, 2, 3, 4], [1, 2, float("nan"), float("inf"), 3])
    (path,) = paths(page)
    assert (path.count("M"), path.count("L")) == (2, 1)
    assert "NaN" not in path
    assert "Infinity" not in path


@pytest.mark.browser
def test_a_missed_increment_is_asked_for_and_one_that_comes_twice_is_not_drawn_twice(page: Page) -> None:
    show(page)
    points(page, 1, "loss", [0, 1], [1, 2])
    points(page, 1, "loss", [0, 1], [1, 2])
    points(page, 3, "loss", [3], [3])
    assert [path.count("L") for path in paths(page)] == [1]
    assert page.evaluate("() => window.sent") == [{"type": "resync"}]
    snapshot = {"number": 3, "series": [{"run": "r", "key": "loss", "steps": buffer(0, 1, 2, 3), "values": buffer(1, 2, 2, 3)}]}
    page.evaluate("s => window.set('_snapshot', s)", snapshot)
    assert [path.count("L") for path in paths(page)] == [3]


@pytest.mark.browser
def test_names_are_text_and_nothing_else(page: Page) -> None:
    hostile = "</script><img src=x onerror='window.__pwn=1'>"
    show(page, label=hostile)
    points(page, 1, hostile, [0, 1], [1, 2])
    paths(page)
    assert page.evaluate("() => window.__pwn") is None
    assert page.locator(".modelbox-live img").count() == 0
    assert page.locator("figcaption").inner_text() == hostile


@pytest.mark.browser
def test_the_vega_of_the_lab_is_used_where_there_is_one(page: Page) -> None:
    show(page, with_vega=True)
    points(page, 1, "loss", [0, 1], [1, float("nan")])
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.rows") == [
        {"run": "run", "run_id": "r", "key": "loss", "step": 0, "value": 1},
        {"run": "run", "run_id": "r", "key": "loss", "step": 1, "value": None},
    ]


@pytest.mark.browser
def test_a_view_that_is_closed_stops_listening(page: Page) -> None:
    show(page)
    page.evaluate("() => window.cleanUp()")
    assert page.evaluate("() => Object.values(window.listeners).flat().length") == 0
