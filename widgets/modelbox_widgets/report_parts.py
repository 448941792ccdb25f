"""The tables and texts of a report, as HTML in which nothing that a user wrote is markup."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from html import escape

import pandas as pd

from modelbox.entities.own_keys import LONG_METADATA, PACKAGES, PATCH, is_own_series
from modelbox.entities.records import Json
from modelbox_widgets.live_spec import COLOURS
from modelbox_widgets.runs import (
    ID,
    MetricColumns,
    differing_settings,
    is_missing,
    metric_columns,
    polarity,
    require_metric,
    run_labels,
    setting_columns,
    setting_name,
    text_columns,
)
from modelbox_widgets.tables import best_position, differences
from modelbox_widgets.text import middle, value_text

__all__ = ["code_sections", "differences_table", "overview_table", "run_details"]

_MAX_COLUMNS = 40
_MAX_PATCH_CHARS = 200_000
_SEARCH = '<p class="tools" data-needs-script hidden><input id="search" type="search" placeholder="find runs" aria-label="find runs"></p>'
_FILE_COLUMNS = ("name", "storage", "size_bytes", "sha256", "md5", "uri")
_ARROWS = {"min": " ↓", "max": " ↑", None: ""}


def overview_table(frame: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Return the runs with their metrics and what differs, in the order of the frame, the best value of each metric marked."""
    labels = run_labels(frame)
    settings = [column for column in differing_settings(frame) if column.startswith(("params.", "tags."))][:_MAX_COLUMNS]
    head = ["#", "run", "status", *(f"{metric}{_ARROWS[polarity(metric)]}" for metric in metrics), *map(setting_name, settings), "took, s"]
    numeric = {0, *range(3, 3 + len(metrics)), len(head) - 1}
    winners = [None if (mode := polarity(metric)) is None else best_position(frame, metric, mode) for metric in metrics]
    columns = [
        list(map(str, range(1, len(frame) + 1))),
        [labels[str(run_id)] for run_id in frame[ID]],
        _texts(frame, "status"),
        *(_metric_texts(frame, metric) for metric in metrics),
        *(["" if is_missing(value) else value_text(value) for value in frame[column]] for column in settings),
        _texts(frame, "duration_s"),
    ]
    coloured = len(frame) <= len(COLOURS)
    body = []
    for at, (run_id, row) in enumerate(zip(frame[ID], zip(*columns, strict=True), strict=True)):
        cells = []
        for column, text in enumerate(row):
            best = 3 <= column < 3 + len(metrics) and winners[column - 3] == at
            kind = " ".join(["num"] * (column in numeric) + ["best"] * best)
            inner = escape(middle(text, 80))
            if column == 1:
                swatch = f'<span class="swatch" style="background:{COLOURS[at]}"></span>' if coloured else ""
                inner = f'{swatch}<a href="#run-{escape(str(run_id))}">{inner}</a>'
            cells.append(f'<td class="{kind}" title="{escape(text)}">{inner}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    heads = "".join(_head(text, column in numeric) for column, text in enumerate(head))
    return (
        f'{_SEARCH}<div class="scroll"><table class="sortable"><thead><tr>{heads}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    )


def differences_table(frame: pd.DataFrame) -> str:
    """Return only what is not the same for all runs: parameters, tags, code, environment."""
    if len(frame) < 2:
        return '<p class="dim">One run differs from nothing.</p>'
    table = differences(frame)
    if table.columns.empty:
        return '<p class="dim">The settings of these runs, their code and their environment are all the same.</p>'
    shown = list(table.columns)[:_MAX_COLUMNS]
    heads = "".join(_head(text, False) for text in ("run", *map(setting_name, shown)))
    rows = []
    for run, *values in table[shown].itertuples(name=None):
        texts = [
            _patch_words(value) if column == PATCH else "" if is_missing(value) else value_text(value)
            for column, value in zip(shown, values, strict=True)
        ]
        rows.append(f"<tr>{''.join(_cell(text) for text in (str(run), *texts))}</tr>")
    note = f'<p class="dim">{len(table.columns) - len(shown)} more settings differ.</p>' if len(table.columns) > len(shown) else ""
    return f'<div class="scroll"><table class="sortable"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>{note}'


def run_details(frame: pd.DataFrame, artifacts: pd.DataFrame) -> Iterator[str]:
    """Yield everything about each run, folded up."""
    labels = run_labels(frame)
    files = {str(run_id): part for run_id, part in artifacts.groupby(ID, sort=False, observed=True)}
    metrics = metric_columns(frame)
    settings = [column for column in setting_columns(frame) if column not in LONG_METADATA]
    facts = [c for c in ("experiment_id", "namespace", "status", "owner", "group", "started_at", "finished_at", "duration_s") if c in frame]
    params = [column for column in settings if column.startswith("params.")]
    others = [column for column in settings if column not in {*params, *facts}]

    def values(columns: list[str], row: int) -> list[tuple[str, Json]]:
        return [(setting_name(column), frame[column].iloc[row]) for column in columns]

    for row in range(len(frame)):
        run_id = str(frame[ID].iloc[row])
        parts = [_pairs(values(facts, row))]
        parts += [_titled("parameters", _pairs(values(params, row))), _titled("metrics", _metrics(frame, metrics, row))]
        parts += [
            _titled("artifacts", _files(files[run_id])) if run_id in files else "",
            _titled("everything else", _pairs(values(others, row))),
        ]
        parts.append(_links(frame, row))
        yield f'<details id="run-{escape(run_id)}"><summary>{escape(labels[run_id])}</summary>{"".join(parts)}</details>'


def code_sections(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return the sections with patches and packages, each different one once, as (id, heading, HTML)."""
    sections = []
    for name, heading, column, shown in (
        ("code", "Code that was not committed", PATCH, _patch),
        ("environments", "Environments", PACKAGES, _packages),
    ):
        found = _by_content(frame, column)
        if found:
            body = "".join(
                f'<details id="{_anchor(column, content)}"><summary>{escape(_whose(frame, rows))}</summary>'
                f"{shown(frame[column].iloc[rows[0]])}</details>"
                for content, rows in found.items()
            )
            sections.append((name, heading, body))
    return sections


def _by_content(frame: pd.DataFrame, column: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    if column in frame.columns:
        for row, value in enumerate(frame[column]):
            if not is_missing(value) and value:
                found.setdefault(_content(value), []).append(row)
    return found


def _content(value: Json) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _anchor(column: str, content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{'packages' if column == PACKAGES else 'patch'}-{digest}"


def _whose(frame: pd.DataFrame, rows: list[int]) -> str:
    labels = run_labels(frame)
    names = [middle(labels[str(frame[ID].iloc[row])], 40) for row in rows[:4]]
    commit = frame["git.commit"].iloc[rows[0]] if "git.commit" in frame.columns else None
    rest = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
    return f"{', '.join(names)}{rest}" + (f", on top of commit {str(commit)[:12]}" if isinstance(commit, str) else "")


def _links(frame: pd.DataFrame, row: int) -> str:
    links = []
    for column, words in ((PATCH, "uncommitted changes"), (PACKAGES, "packages")):
        if column in frame.columns and not is_missing(frame[column].iloc[row]) and frame[column].iloc[row]:
            links.append(f'<a href="#{_anchor(column, _content(frame[column].iloc[row]))}">{words}</a>')
    return f"<p>{' · '.join(links)}</p>" if links else ""


def _patch(value: Json) -> str:
    text = str(value)
    kinds = {"+": ' class="added"', "-": ' class="removed"'}
    lines = [
        f"<span{kinds[line[0]]}>{escape(line)}</span>" if line[:1] in kinds and not line.startswith(("+++", "---")) else escape(line)
        for line in text[:_MAX_PATCH_CHARS].splitlines()
    ]
    cut = f'<p class="dim">The first {_MAX_PATCH_CHARS} of {len(text)} characters.</p>' if len(text) > _MAX_PATCH_CHARS else ""
    marked = "\n".join(lines)
    return f"<pre>{marked}</pre>{cut}"


def _patch_words(value: Json) -> str:
    if is_missing(value) or not value:
        return ""
    lines = str(value).splitlines()
    added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
    removed = sum(line.startswith("-") and not line.startswith("---") for line in lines)
    return f"+{added} -{removed} lines"


def _packages(value: Json) -> str:
    if not isinstance(value, dict):
        return f"<pre>{escape(str(value))}</pre>"
    lines = "\n".join(f"{name}=={version}" for name, version in value.items())
    return f"<pre>{escape(lines)}</pre>"


def _metrics(frame: pd.DataFrame, metrics: dict[str, MetricColumns], row: int) -> str:
    body = []
    for key in sorted(metrics, key=lambda name: (is_own_series(name), name)):
        columns = metrics[key]
        last = frame[columns.last].iloc[row]
        if is_missing(last):
            continue
        texts = [value_text(frame[column].iloc[row]) for column in (columns.last, columns.min, columns.max)]
        body.append(f"<tr>{_cell(key)}{''.join(_cell(text, 'num') for text in texts)}</tr>")
    if not body:
        return ""
    heads = "".join(_head(text, at > 0) for at, text in enumerate(("metric", "last", "min", "max")))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _files(files: pd.DataFrame) -> str:
    body = []
    for name, storage, size, sha256, md5, uri in files[list(_FILE_COLUMNS)].itertuples(index=False, name=None):
        bytes_text = "" if is_missing(size) else f"{int(size):,}"
        # Nobody compares a checksum of which the middle is missing.
        checksum = f"<td><code>{escape(str(sha256 or md5 or ''))}</code></td>"
        body.append(f"<tr>{_cell(name)}{_cell(str(storage))}{_cell(bytes_text, 'num')}{checksum}{_cell(str(uri or ''))}</tr>")
    heads = "".join(_head(text, text == "bytes") for text in ("file", "storage", "bytes", "SHA-256, else MD5", "where it lies"))
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _titled(title: str, html: str) -> str:
    return f"<h3>{title}</h3>{html}" if html else ""


def _pairs(pairs: Sequence[tuple[str, Json]]) -> str:
    known = [(name, value) for name, value in pairs if not is_missing(value) and value != ""]
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(_full(value))}</td></tr>" for name, value in known)
    return f'<table class="pairs"><tbody>{rows}</tbody></table>' if rows else ""


def _full(value: Json) -> str:
    """Return a value as it is: details are the place where nothing is cut."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value if isinstance(value, str) else value_text(value)


def _metric_texts(frame: pd.DataFrame, metric: str) -> list[str]:
    """Return the last values; none where there is no bound either, which is how a table has the runs that never logged the metric."""
    columns = require_metric(frame, metric)
    pairs = zip(frame[columns.last], frame[columns.min], strict=True)
    return ["" if is_missing(last) and is_missing(low) else value_text(last) for last, low in pairs]


def _texts(frame: pd.DataFrame, column: str) -> list[str]:
    return [value_text(value) for value in frame[column]] if column in text_columns(frame) else [""] * len(frame)


def _head(text: str, number: bool) -> str:
    return f'<th class="{"num" if number else ""}" title="{escape(text)}">{escape(middle(text, 40))}</th>'


def _cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}" title="{escape(text)}">{escape(middle(text, 80))}</td>'
