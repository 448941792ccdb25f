"""What ``%modelbox status`` and ``%modelbox show`` display: records as HTML and as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from modelbox.entities.own_keys import CELL_ERROR, CELL_SOURCE, CONSOLE_PREFIX, LONG_METADATA, PACKAGES, PATCH, is_own_series
from modelbox.entities.records import Status
from modelbox.entities.times import now
from modelbox.errors import ModelBoxError
from modelbox.notebook.live_bundle import live_bundle
from modelbox_widgets.live_spec import labels_of
from modelbox_widgets.points import PointRow, rows_within
from modelbox_widgets.text import html_row, html_table, html_view, text_table, value_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbox.client.catchup import SyncReport
    from modelbox.client.connection import ModelBox
    from modelbox.client.discovery import Where
    from modelbox.client.experiment import Experiment
    from modelbox.entities.records import ArtifactRecord, ExperimentRecord, Json
    from modelbox.entities.series import SeriesBlock, SeriesSummary
    from modelbox.wire.messages import ServerInfo

__all__ = ["ExperimentView", "OpenView", "StatusView", "SyncView"]

_MAX_POINTS = 1000
_MAX_LINES = 100
_SHOW_PANEL = "modelbox:show-panel"


@dataclass(frozen=True)
class StatusView:
    """Which store is used and why, and what it says of itself. Holds no token."""

    where: Where
    info: ServerInfo | None
    trouble: str = ""

    @classmethod
    def of(cls, box: ModelBox) -> StatusView:
        """Ask the store of a connection."""
        try:
            return cls(box.where, box.info())
        except ModelBoxError as error:
            return cls(box.where, None, error.detail)

    def _rows(self) -> list[tuple[str, str]]:
        shared = [("store", self.where.what), ("address", self.where.address)]
        rows = [*(shared if self.where.kind == "hub" else [("store", self.where.address)]), ("because", self.where.reason)]
        if self.where.detail:
            rows.append(("passed over", self.where.detail))
        if self.info is None:
            return [*rows, ("trouble", self.trouble)]
        kept = f"{self.info.metadata_storage} metadata, {self.info.metrics_storage} metrics, {self.info.artifact_storage} artifacts"
        return [*rows, ("version", self.info.version), ("keeps", kept), ("you are", self.info.user)]

    def __repr__(self) -> str:
        return "\n".join(f"{name:12}{value}" for name, value in self._rows())

    def _repr_html_(self) -> str:
        return html_view(_pairs(self._rows()))


@dataclass(frozen=True)
class SyncView:
    """What ``%modelbox sync`` has sent, and what it could not."""

    report: SyncReport

    def __repr__(self) -> str:
        report = self.report
        lines = [f"{report.sent} points sent from {_counted(report.journals, 'journal')}."]
        if report.pending:
            lines.append(f"{report.pending} points could not be sent in time: they stay in their journals, and are tried again.")
        if report.rejected:
            lines.append(f"{report.rejected} points were refused: they lie in the folder rejected beside the journals.")
        return "\n".join(lines)


@dataclass(frozen=True)
class OpenView:
    """How to see the experiments of a store without code."""

    where: Where

    def __repr__(self) -> str:
        match self.where.kind:
            case "jupyter":
                return "JupyterLab lists the experiments in the ModelBox panel of the left sidebar: command 'Show ModelBox Experiments'."
            case "server" | "hub":
                return f"The experiments are at {self.where.address}."
            case _:
                return f"{self.where.address} has no page of its own: %modelbox runs lists its experiments."

    def _repr_html_(self) -> str:
        address = self.where.address
        match self.where.kind:
            case "jupyter":
                # JupyterLab carries out the command of a button; elsewhere the sentence beside it says what to do.
                button = f'<button type="button" class="jp-mod-styled" data-commandlinker-command="{_SHOW_PANEL}">Show experiments</button>'
                return html_view(f"<p>{button} in the ModelBox panel of JupyterLab's left sidebar</p>")
            case "server" | "hub" if address.startswith(("http://", "https://")):
                return html_view(f'<p><a href="{escape(address)}" target="_blank" rel="noopener">{escape(address)}</a></p>')
            case _:
                return html_view(f"<p>{escape(repr(self))}</p>")


@dataclass(frozen=True)
class ExperimentView:
    """One experiment with its parameters, metrics, artifacts and curves."""

    record: ExperimentRecord
    metadata: dict[str, Json]
    summaries: list[SeriesSummary]
    artifacts: list[ArtifactRecord]
    is_followed: bool
    printed: str
    rows: list[PointRow] = field(repr=False)

    @classmethod
    def of(cls, box: ModelBox, experiment: Experiment) -> ExperimentView:
        """Read everything about an experiment."""
        record = experiment.record
        summaries = list(experiment.summaries().values())
        return cls(
            record=record,
            metadata=experiment.metadata(),
            summaries=[one for one in summaries if not one.key.startswith(CONSOLE_PREFIX)],
            artifacts=[artifact.record for artifact in experiment.artifacts],
            is_followed=box.where.kind == "jupyter" and record.status is Status.RUNNING,
            printed=_end_of(experiment.console()) if any(one.key.startswith(CONSOLE_PREFIX) for one in summaries) else "",
            rows=rows_within(_chosen(experiment.read_metrics(max_points=_MAX_POINTS)), labels_of([record])),
        )

    def __repr__(self) -> str:
        parts = ["\n".join(f"{name:12}{value}" for name, value in self._facts())]
        if self._settings():
            parts.append(text_table(["setting", "value"], [list(pair) for pair in self._settings()], limit_chars=60))
        if self.summaries:
            parts.append(text_table(list(_METRIC_HEAD), self._metrics()))
        if self.artifacts:
            parts.append("\n".join(f"{artifact.name} ({_size(artifact.size_bytes)})" for artifact in self.artifacts))
        source = self.metadata.get(CELL_SOURCE)
        if isinstance(source, str):
            parts.append("\n".join(f"    {line}" for line in source.splitlines()))
        if self.printed:
            parts.append(f"printed:\n{self.printed}")
        if trouble := self._trouble():
            parts.append(trouble)
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        title = f'<div class="modelbox-head">{escape(self.record.name)} · {self.record.status}</div>'
        parts = [title, _pairs(self._facts()[1:])]
        if self._settings():
            parts.append(_section("settings", _pairs(self._settings())))
        if self.summaries:
            head = [(text, "modelbox-num" if i else "") for i, text in enumerate(_METRIC_HEAD)]
            body = [html_row([(text, "modelbox-num" if i else "") for i, text in enumerate(row)]) for row in self._metrics()]
            parts.append(_section("metrics", html_table(head, body)))
        if self.artifacts:
            parts.append(_section("artifacts", _pairs([(a.name, f"{_size(a.size_bytes)}, {a.storage}") for a in self.artifacts])))
        parts += [_section(title, html, is_open=False) for title, html in self._long()]
        return html_view(*parts)

    def _ipython_display_(self) -> None:
        from IPython.display import publish_display_data

        publish_display_data({"text/html": self._repr_html_(), "text/plain": repr(self)})  # type: ignore[no-untyped-call]
        if self.rows:
            labels = labels_of([self.record])
            final = not self.is_followed
            bundle, metadata = live_bundle(self.rows, [self.record], labels, final=final, follow=self.is_followed, widget=None)
            if final:  # the table above says what the HTML of the chart would repeat, in place of the picture
                del bundle["text/html"]
            bundle["text/plain"] = "<curves of the metrics>"
            publish_display_data(bundle, metadata)  # type: ignore[no-untyped-call]

    def _facts(self) -> list[tuple[str, str]]:
        record = self.record
        seconds = ((record.finished_at or now()) - record.started_at).total_seconds()
        facts = [
            ("name", record.name),
            ("id", record.id),
            ("namespace", record.namespace),
            ("status", str(record.status)),
            ("owner", record.owner),
            ("group", record.group),
            ("framework", record.framework),
            ("parent", record.parent_id or ""),
            ("started", f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC"),
            ("took" if record.finished_at else "for", _duration(seconds)),
        ]
        return [(name, value) for name, value in facts if value]

    def _settings(self) -> list[tuple[str, str]]:
        keys = sorted(self.metadata, key=lambda key: (not key.startswith("params."), not key.startswith("tags."), key))
        return [(key, value_text(self.metadata[key])) for key in keys if key not in LONG_METADATA]

    def _long(self) -> list[tuple[str, str]]:
        """Return what needs room of its own, as (title, HTML)."""
        parts: list[tuple[str, str]] = []
        shown = (("exception", self._trouble()), ("printed", self.printed))
        parts += [(title, f"<pre>{escape(text)}</pre>") for title, text in shown if text]
        for title, key in (("source of the cell", CELL_SOURCE), ("uncommitted changes", PATCH)):
            text = self.metadata.get(key)
            if isinstance(text, str):
                parts.append((title, f"<pre>{escape(text)}</pre>"))
        packages = self.metadata.get(PACKAGES)
        if isinstance(packages, dict):
            parts.append((f"packages ({len(packages)})", _pairs([(name, value_text(version)) for name, version in packages.items()])))
        return parts

    def _trouble(self) -> str:
        """Return the exception that ended the cell, as the notebook showed it."""
        error = self.metadata.get(CELL_ERROR)
        return str(error.get("traceback", "")) if isinstance(error, dict) else ""

    def _metrics(self) -> list[list[str]]:
        return [
            [one.key, *(value_text(value) for value in (one.last, one.min, one.max)), str(one.last_step), str(one.count)]
            for one in self.summaries
        ]


def _chosen(blocks: Sequence[SeriesBlock]) -> list[SeriesBlock]:
    """Return the series that the user logged: the table has those of the machine as well, the curves do not."""
    return [block for block in blocks if not is_own_series(block.key)]


_METRIC_HEAD = ("metric", "last", "min", "max", "at step", "points")


def _end_of(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(lines if len(lines) <= _MAX_LINES else [f"[{len(lines) - _MAX_LINES} lines before]", *lines[-_MAX_LINES:]])


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(html_row([(name, "modelbox-dim"), (value, "")]) for name, value in rows)
    return f'<table class="modelbox-table modelbox-pairs"><tbody>{body}</tbody></table>'


def _section(name: str, html: str, *, is_open: bool = True) -> str:
    return f"<details{' open' if is_open else ''}><summary>{name}</summary>{html}</details>"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "size unknown"
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.4g} {unit}"
        amount /= 1000
    return f"{amount:.4g} GB"
