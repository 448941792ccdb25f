"""Reports: a comparison of runs as one HTML file that opens anywhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from modelbox import frames
from modelbox.client.shared import default_connection
from modelbox.entities.ids import is_id
from modelbox.entities.own_keys import is_own_series
from modelbox.entities.times import now
from modelbox.errors import InvalidRequest, shortened
from modelbox.frames.subjects import Subjects, ids_of
from modelbox.notebook.stored_runs import moments, refreshed
from modelbox_widgets.report import report_html

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbox.client.connection import ModelBox

__all__ = ["report"]

Runs: TypeAlias = "Subjects | None"

_NEWEST = 50
_CHART_POINTS = 1000


def report(
    path: str | os.PathLike[str],
    runs: Runs = None,
    *,
    title: str | None = None,
    metrics: Sequence[str] | None = None,
    connection: ModelBox | None = None,
) -> Path:
    """Write a report about runs as one HTML file, and return its path.

    The file opens from disk, needs no network and no notebook, and asks no server for anything: overview, what differs, interactive charts,
    and of every run its parameters, metrics, code, packages and files with their checksums. Without JavaScript the charts are pictures. It
    has about 1 MB, most of it Vega.

    Parameters
    ----------
    path
        Where to write; an older file of that name is replaced.
    runs
        A table of runs, a query such as ``"metrics.accuracy.max > 0.9"``, or experiments or their ids; the newest fifty when left out.
    title
        Heading; made of the names of the runs when left out.
    metrics
        Metrics to show, the one to judge by first; by default those that tell most.
    connection
        Where to look; the shared connection when left out.

    Raises
    ------
    InvalidRequest
        There are no such runs, or no such folder.

    Examples
    --------
    >>> import modelbox, modelbox.testing, tempfile
    >>> with modelbox.testing.memory_connection() as box, tempfile.TemporaryDirectory() as folder:
    ...     with box.start("digits", params={"lr": 0.1}) as run:
    ...         run.log(loss=0.25)
    ...     written = modelbox.report(f"{folder}/digits.html", "params.lr < 1", connection=box)
    ...     written.name, "digits" in written.read_text(encoding="utf-8")
    ('digits.html', True)
    """
    target = _checked_target(path)
    box = connection or default_connection()
    found = _runs(box, runs)
    if found.empty:
        raise InvalidRequest("There is no run to report about: start one with modelbox.start(), or look with modelbox.experiments().")
    table = frames.with_long_metadata(found, connection=box)
    points = frames.metrics(table, max_points=_CHART_POINTS, connection=box)
    html = report_html(
        table,
        points[[not is_own_series(str(key)) for key in points["key"]]],
        moments=moments(table, connection=box),
        artifacts=frames.artifacts(ids_of(table), connection=box).rename(columns={"object_id": "experiment_id"}),
        title=title or _title(table),
        created_at=now(),
        store=box.where.address,
        metrics=metrics,
    )
    _write(target, html)
    return target


def _checked_target(path: str | os.PathLike[str]) -> Path:
    target = Path(path).expanduser()
    if target.is_dir():
        raise InvalidRequest(
            f"{shortened(str(target))} is a folder: name the file to write, such as {shortened(str(target / 'report.html'))}."
        )
    if not target.parent.is_dir():
        raise InvalidRequest(f"The folder {shortened(str(target.parent))} does not exist: create it, or write the report elsewhere.")
    return target


def _runs(box: ModelBox, runs: Runs) -> pd.DataFrame:
    if runs is None:
        return frames.experiments(limit=_NEWEST, connection=box)
    if isinstance(runs, str) and not is_id(runs):
        return frames.experiments(runs, connection=box)
    # Read again: tables that people filtered and merged may lack columns, and what was running may have ended.
    return refreshed(pd.DataFrame({"experiment_id": ids_of(runs)}), connection=box)


def _title(table: pd.DataFrame) -> str:
    names = list(dict.fromkeys(str(name) for name in table["name"]))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _write(target: Path, html: str) -> None:
    """Write all of it or nothing: whoever has the older file open never sees half of the new one."""
    waiting = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        waiting.write_text(html, encoding="utf-8", errors="surrogatepass")
        waiting.replace(target)
    except OSError as error:
        waiting.unlink(missing_ok=True)
        raise InvalidRequest(f"The report could not be written to {shortened(str(target))}: {error.strerror or error}.") from error
