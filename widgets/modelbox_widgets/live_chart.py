"""An interactive chart of many metrics of many runs, which goes on while they run, however long they are.

The browser has an overview of every series, in bounded memory, which increments extend: nothing is ever read twice. Where it is zoomed in
it asks for those steps, in as many points as it can show. The chart that appears under a training cell by itself needs no kernel; this one
is fed by the kernel, and what was drawn last stays in the notebook.
"""

import contextvars
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import traitlets

from modelbox.client.connection import ModelBox
from modelbox.client.notices import Notices
from modelbox.entities.records import Json
from modelbox.entities.series import SeriesBlock
from modelbox.errors import InvalidRequest, ModelBoxError, shortened
from modelbox.frames.subjects import Subjects
from modelbox.wire.messages import MetricsQuery
from modelbox_widgets.base import Answer, Bundle, NotebookWidget
from modelbox_widgets.live_spec import COLOURS, VEGALITE, labels_of, live_spec, static_html, static_text
from modelbox_widgets.overview import Overview, SeriesName, ThinSeries, columns_of
from modelbox_widgets.picture import PNG, picture_html, png_metadata, png_of
from modelbox_widgets.points import float_blocks, rows_within
from modelbox_widgets.tail import Tail
from modelbox_widgets.targets import experiments_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["LiveChart"]

_MAX_RUNS = 50
_MAX_DETAIL_POINTS = 10_000
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0
_STATUS_EVERY_S = 2.0
_FIRST_OUTPUT_S, _LAST_OUTPUT_S = 2.0, 60.0
_INT64 = range(-(2**63), 2**63)

_notices = Notices()


class LiveChart(NotebookWidget, parts=["plot", "series", "paint", "svg_pen", "live_plot", "live_chart"]):
    """Curves of many runs, to zoom, smooth and compare while they run.

    Parameters
    ----------
    runs
        Experiments, their ids, or a table of :func:`modelbox.experiments`; the first 50 are shown.
    metrics
        Which metrics, in this order; all that were logged when left out.
    connection
        Where to look for ids; the shared connection when left out.
    smoothing
        0 for none, up to 0.99: exponential moving average.
    log_scale
        Draw values on a logarithmic scale.
    x_axis
        ``"step"``, or ``"time"``: seconds since a run's first point.
    hidden
        Ids of runs that are not drawn.
    window
        First and last x that are shown; everything when ``None``.
    following
        Go on while runs go on.

    Notes
    -----
    All but the first three are traits that go both ways: what is chosen in the page can be read here, and what is set here is shown there.

    Examples
    --------
    >>> from modelbox_widgets import LiveChart
    >>> chart = LiveChart(modelbox.experiments("params.lr < 0.1"), ["loss", "accuracy"])  # doctest: +SKIP
    >>> chart.window = (1000, 2000)                                                       # doctest: +SKIP
    """

    smoothing = traitlets.Float(0.0, min=0.0, max=0.99).tag(sync=True)
    log_scale = traitlets.Bool(default_value=False).tag(sync=True)
    x_axis = traitlets.Enum(["step", "time"], default_value="step").tag(sync=True)
    hidden = traitlets.List(trait=traitlets.Unicode()).tag(sync=True)
    window = traitlets.Tuple(traitlets.Float(), traitlets.Float(), default_value=None, allow_none=True).tag(sync=True)
    following = traitlets.Bool(default_value=True).tag(sync=True)

    _runs = traitlets.List(trait=traitlets.Dict()).tag(sync=True)
    _metrics = traitlets.List(trait=traitlets.Unicode()).tag(sync=True)
    _note = traitlets.Unicode("").tag(sync=True)
    _snapshot = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        runs: Subjects,
        metrics: str | Sequence[str] | None = None,
        *,
        connection: ModelBox | None = None,
        smoothing: float = 0.0,
        log_scale: bool = False,
        x_axis: Literal["step", "time"] = "step",
        **traits: Any,
    ) -> None:
        experiments, count = experiments_of(runs, connection, limit=_MAX_RUNS)
        keys = [metrics] if isinstance(metrics, str) else None if metrics is None else list(metrics)
        self._guard = threading.RLock()
        self._overview = Overview()
        self._tail = Tail(experiments, keys, thin_points=self._overview.plan(len(experiments) * len(keys or COLOURS)))
        self._number = 0
        self._wake = threading.Event()
        experiments[0].session.settle()
        self._take(self._tail.read())
        super().__init__(
            smoothing=smoothing,
            log_scale=log_scale,
            x_axis=x_axis,
            _metrics=keys or [],
            _runs=self._described(),
            _note="" if count <= _MAX_RUNS else f"the first {_MAX_RUNS} of {count} runs",
            # In the message that opens the widget already: a page must not have to wait for a kernel that is busy training.
            _snapshot=self._everything(),
            **traits,
        )
        self.observe(lambda _change: self._wake.set(), "following")
        if not self._tail.is_over:
            # The display publisher finds the cell that an output belongs to in its context.
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(self._follow,), name="modelbox-live-chart-widget", daemon=True).start()

    @traitlets.validate("window")
    def _ascending(self, proposal: Any) -> tuple[float, float] | None:
        window: tuple[float, float] | None = proposal["value"]
        if window is not None and not window[0] < window[1]:
            raise traitlets.TraitError(f"The window {window} shows nothing: give (first, last) with first < last, or None for everything.")
        return window

    @property
    def is_live(self) -> bool:
        """Whether a run still goes on, as last heard."""
        return not self._tail.is_over and self.comm is not None

    def answer(self, question: str, content: Mapping[str, Json]) -> Answer:
        """Return all points (``"points"``), or closely those of some steps (``"detail"``)."""
        if question == "points":
            with self._guard:
                everything = self._everything()
            return {name: value for name, value in everything.items() if name != "buffers"}, everything["buffers"]
        if question == "detail":
            steps = (_int(content, "first", _INT64), _int(content, "last", _INT64))
            return self._detail(*steps, _int(content, "points", range(4, _MAX_DETAIL_POINTS + 1)))
        return super().answer(question, content)

    def static_bundle(self) -> tuple[Bundle, Bundle]:
        """Return tables and curves of what is known now; a PNG only when nothing runs any more, since making one holds up training."""
        records = [experiment.record for experiment in self._tail.experiments]
        labels = labels_of(records)
        with self._guard:
            blocks = [_block(name, one) for name, one in self._overview.series.items()]
        rows = rows_within(blocks, labels)
        text = static_text(rows, records, labels) or "no runs"
        if not rows:
            return {"text/plain": text, "text/html": static_html(rows, records, labels)}, {}
        spec = live_spec(rows, runs=list(labels.values()))
        png = png_of(spec) if self._tail.is_over else None
        picture = "" if png is None else picture_html(png, text)
        bundle: Bundle = {"text/plain": text, "text/html": static_html(rows, records, labels, picture=picture), VEGALITE: spec}
        return (bundle, {}) if png is None else ({**bundle, PNG: png}, {PNG: png_metadata(png)})

    # --- following ------------------------------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Send what is new until no run goes on; the output is brought up to date 2, 4, 8 … 60 s after the start, and at the end."""
        pause_s, output_s = _PAUSE_S, _FIRST_OUTPUT_S
        asked_s = output_at_s = time.monotonic()
        while self.is_live:
            self._wake.wait(pause_s)
            self._wake.clear()
            if not self.following or self.comm is None:
                pause_s = _LONGEST_PAUSE_S
                continue
            try:
                if time.monotonic() - asked_s >= _STATUS_EVERY_S or pause_s == _LONGEST_PAUSE_S:
                    asked_s = time.monotonic()
                    if self._tail.refresh():
                        self._runs = self._described()
                grew = self._publish_new()
                pause_s = _PAUSE_S if grew else min(pause_s * 1.3, _LONGEST_PAUSE_S)
                if time.monotonic() - output_at_s >= output_s or self._tail.is_over:
                    self.update_output()
                    output_at_s, output_s = time.monotonic(), min(2 * output_s, _LAST_OUTPUT_S)
            except ModelBoxError as error:
                pause_s = _LONGEST_PAUSE_S
                _notices.log("live chart", f"ModelBox: a live chart cannot read its points: {error}")
            except Exception as error:  # noqa: BLE001 - a chart that fails must not put a traceback into the output of a training
                if self.comm is not None:  # the store may have gone together with the chart
                    _notices.log("live chart", f"ModelBox: a live chart stopped: {type(error).__name__}: {error}")
                return

    def _publish_new(self) -> bool:
        blocks = self._tail.read()
        if not blocks:
            return False
        with self._guard:
            if self._take(blocks):
                self._snapshot = self._everything()
            else:
                heads = [{"run": block.object_id, "key": block.key} for block in blocks]
                self.send({"type": "points", "number": self._number, "series": heads}, _buffers(blocks))
        return True

    def _take(self, blocks: Sequence[SeriesBlock]) -> bool:
        """Add points to the overview, and tell whether it had to be thinned."""
        self._number += 1
        return self._overview.extend(blocks, counts=self._tail.counts)

    def _everything(self) -> dict[str, Json]:
        named = self._overview.series.items()
        return {
            "number": self._number,
            "series": [{"run": run, "key": key, "count": one.count} for (run, key), one in named],
            "buffers": [column.tobytes() for _, one in named for column in (one.steps, one.times_ms, one.values)],
        }

    def _detail(self, first: int, last: int, points: int) -> Answer:
        hidden = set(self.hidden)
        shown = [experiment for experiment in self._tail.experiments if experiment.id not in hidden]
        if not shown:
            return {"series": []}, ()
        keys = list(self._metrics) or sorted({key for _, key in self._overview.series})
        query = MetricsQuery(objects=[one.id for one in shown], keys=keys, max_points=points, first_step=first, last_step=last)
        blocks = float_blocks(shown[0].session.transport.read_metrics(query))
        return {"series": [{"run": block.object_id, "key": block.key} for block in blocks]}, _buffers(blocks)

    def _described(self) -> list[dict[str, str]]:
        labels = labels_of([experiment.record for experiment in self._tail.experiments])
        return [
            {"id": experiment.id, "label": labels[experiment.id], "colour": colour, "status": str(experiment.status)}
            for experiment, colour in zip(self._tail.experiments, cycle(COLOURS), strict=False)
        ]


def _block(name: SeriesName, one: ThinSeries) -> SeriesBlock:
    run, key = name
    columns = (one.steps.astype(np.int64), (one.times_ms * 1000).astype(np.int64), one.values)
    steps, wall_times_us, values = (cast("Buffer", column) for column in columns)
    return SeriesBlock(object_id=run, key=key, steps=steps, wall_times_us=wall_times_us, values=values)


def _buffers(blocks: Sequence[SeriesBlock]) -> list[bytes]:
    return [column.tobytes() for block in blocks for column in columns_of(block)]


def _int(content: Mapping[str, Json], name: str, within: range) -> int:
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value not in within:
        raise InvalidRequest(f"{name} is {shortened(value, 40)}: it should be a whole number from {within[0]} to {within[-1]}.", field=name)
    return value
