"""A report as one page: what is in it, and that nothing in it can act."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pandas as pd
import pytest

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest
from modelbox_widgets.report import ARTIFACT_COLUMNS, report_html
from modelbox_widgets.testing import HOSTILE_NAMES, code_in, compiled, misplaced, search
from modelbox_widgets.time_use import MOMENT_COLUMNS

PATCH = "--- a/train.py\n+++ b/train.py\n-lr = 0.1\n+lr = 0.01 # </pre><script>alert(1)</script>\n"
MARK = "kanarienvogel"


class Page(HTMLParser):
    """What a browser would make of the page: scripts, texts, and the attributes of elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._in = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        else:
            self.texts.append(data)

    @property
    def specs(self) -> list[dict[str, Json]]:
        return [json.loads(text) for attributes, text in self.scripts if attributes.get("type") == "application/json"]


def page(runs: int = 6, *, name: str = "digits-mlp", **options: Json) -> str:
    frame, points = search(runs=runs, steps=5, name=name, loss=f"{name} loss", score=f"{name} accuracy", param=name)
    begin = pd.Timestamp("2026-01-01", tz="UTC")
    frame["started_at"], frame["finished_at"], frame["duration_s"] = begin, begin + pd.Timedelta(seconds=9), 9.0
    frame["git.commit"], frame["git.diff"] = "4f2a" * 10, [PATCH if i % 2 else None for i in range(runs)]
    frame["environment.packages"] = [{"numpy": "2.4", name: str(i % 2)} for i in range(runs)]
    first = frame["experiment_id"].iloc[0]
    moments = pd.DataFrame([(first, "event", name, name, begin)], columns=list(MOMENT_COLUMNS))
    artifacts = pd.DataFrame(
        [(first, name, "uploaded", 12, "ab" * 32, "", ""), (first, "far", "tracked", None, "", "", name)], columns=list(ARTIFACT_COLUMNS)
    )
    settings = {"title": name, "created_at": datetime(2026, 1, 1, tzinfo=UTC), "store": "here", **options}
    return report_html(frame, points, moments=moments, artifacts=artifacts, **settings)


@pytest.fixture(scope="module")
def html() -> str:
    return page()


def test_everything_about_the_runs_is_in_the_page(html: str) -> None:
    shown = Page(html)
    text = " ".join(shown.texts)
    for part in ("6 runs", "accuracy ↑", "What differs", "git.diff", "+1 -1 lines", "ab" * 32, "numpy==2.4", "4f2a4f2a4f2a"):
        assert part in text
    assert len(shown.specs) == 5
    assert {spec["description"].split()[0] for spec in shown.specs} == {"Curves", "Parallel", "Bar", "Pareto", "Timeline"}


def test_the_same_patch_and_the_same_packages_are_there_once(html: str) -> None:
    assert html.count("lr = 0.01 #") == 1
    assert html.count("numpy==2.4") == 2


def test_the_page_allows_its_own_two_scripts_and_no_address_at_all(html: str) -> None:
    shown = Page(html)
    policy = next(
        str(attrs["content"]) for tag, attrs in shown.tags if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]
    code = [text for attributes, text in shown.scripts if "type" not in attributes]
    hashes = re.findall(r"'sha256-([^']+)'", policy)
    assert hashes == [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in code]
    addresses = [value for _, attrs in shown.tags for key, value in attrs.items() if key in {"src", "href"} and value]
    assert all(address.startswith(("data:image/png", "#")) for address in addresses)


def test_without_scripts_every_chart_is_a_picture_with_words(html: str) -> None:
    pictures = re.findall(r'<noscript><img alt="([^"]+)" src="data:image/png;base64,([^"]+)"></noscript>', html)
    assert len(pictures) == 5
    assert all(base64.b64decode(data).startswith(b"\x89PNG") and words for words, data in pictures)


@pytest.mark.parametrize("name", [" ".join(HOSTILE_NAMES[:-1]) + MARK, HOSTILE_NAMES[-1] + MARK], ids=["all together", "very long"])
def test_hostile_names_are_text_and_nothing_else(name: str) -> None:
    shown = Page(page(name=name))
    assert {tag for tag, _ in shown.tags}.isdisjoint({"object", "iframe", "embed"})
    assert not [attrs for _, attrs in shown.tags if any(key.startswith("on") for key in attrs)]
    assert len([1 for attributes, _ in shown.scripts if "type" not in attributes]) == 2
    assert all(str(attrs.get("src", "")).startswith("data:image/png") for tag, attrs in shown.tags if tag == "img")
    assert any(name in text for text in shown.texts)
    for spec in shown.specs:
        vega = compiled(spec)
        assert not [code for code in (*code_in(spec), *code_in(vega)) if MARK in code]
        assert list(misplaced(vega, MARK)) == []


def test_one_run_and_a_run_without_metrics_have_a_report() -> None:
    assert "One run differs from nothing" in page(1)
    frame, points = search(runs=2, steps=2)
    bare = frame[["experiment_id", "name", "params.lr"]]
    empty = points.iloc[:0]
    moments, artifacts = pd.DataFrame(columns=list(MOMENT_COLUMNS)), pd.DataFrame(columns=list(ARTIFACT_COLUMNS))
    html = report_html(bare, empty, moments=moments, artifacts=artifacts, title="bare", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert "needs the column" in html


def test_no_runs_are_one_sentence() -> None:
    frame, points = search(runs=1, steps=1)
    with pytest.raises(InvalidRequest, match="at least one run"):
        report_html(frame.iloc[:0], points, moments=points, artifacts=points, title="", created_at=datetime(2026, 1, 1, tzinfo=UTC))
