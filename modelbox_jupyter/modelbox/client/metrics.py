"""Logging points to an object, and reading them back."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from modelbox.client.buffer import Record
from modelbox.client.values import UnsupportedValue, integer_step, metric_value, wall_time_us
from modelbox.entities.names import checked_key
from modelbox.entities.series import SeriesBlock, SeriesSummary, ValueKind
from modelbox.entities.values import WireFloat, float_to_wire
from modelbox.errors import InvalidName, InvalidRequest, StorageFull, shortened
from modelbox.wire import routes
from modelbox.wire.messages import MetricsQuery, SummariesQuery

if TYPE_CHECKING:
    from modelbox.client.sender import FlushReport
    from modelbox.client.session import Session
    from modelbox.client.values import Value

__all__ = ["MetricValue", "MetricsMixin", "wire_metrics"]

_MAX_SETTLED_KEYS = 100_000
_FLOATS = frozenset({float})
_record = partial(tuple.__new__, Record)  # what calling a NamedTuple does, in half the time


class MetricValue(NamedTuple):
    """One point of a metric; `wallclock_time` is in seconds since 1970."""

    step: int
    wallclock_time: float
    value: Value


class MetricsMixin:
    """Metrics of an object."""

    _session: Session
    _id: str

    def _start_steps(self) -> None:
        # next() of a counter is atomic, so that threads which log without a step share one sequence without a lock.
        self._steps = itertools.count()
        self._largest_step = -1
        self._settled_keys: set[str] = set()  # names that are valid as they are written

    def log(
        self,
        values: Mapping[str, object] | None = None,
        /,
        *,
        step: int | None = None,
        wall_time: float | datetime | None = None,
        **metrics: object,
    ) -> None:
        """Log metrics: returns within microseconds, sends in the background, and never raises for outages.

        Parameters
        ----------
        values
            Metrics by name, for names that are no Python identifiers; ``**metrics`` are added.
        step
            Any integer, in any order, repeats included. Left out, it is one more than the largest step logged through this object so far.
        wall_time
            When it happened: a datetime, or seconds since 1970; now when left out.
        **metrics
            Values: numbers of any library, booleans, one-element tensors, text or bytes. NaN and infinities are values.

        Raises
        ------
        InvalidRequest
            The step is no integer, or a value is an integer outside 64 bits.
        UnsupportedValue
            A value is nothing that can be stored (a :class:`TypeError`), on strict connections. Otherwise this is one warning, and the
            other metrics of the call are kept.
        StorageFull
            Too many points wait for the store, on strict connections. Otherwise this is one warning, and the point is dropped and counted.

        Examples
        --------
        >>> import modelbox.testing
        >>> with modelbox.testing.memory_connection() as box, box.start("demo") as run:
        ...     run.log(loss=0.5, step=1)
        ...     run.log({"val/loss @1": 0.7}, step=1)
        """
        moment_us = time.time_ns() // 1000 if wall_time is None else wall_time_us(wall_time)
        if values is not None:
            # A copy in any case: the caller may change the dict before it is sent.
            metrics = values.copy() if type(values) is dict and not metrics else _merged(values, metrics)
        if self._settled_keys.issuperset(metrics) and _FLOATS.issuperset(map(type, metrics.values())):
            # Nearly every call: floats under names that were seen before. Two loops in C instead of one in Python.
            kept = cast("dict[str, Value]", metrics)
        else:
            kept = self._kept(metrics)
        if not kept:
            if not metrics:
                self._session.notices.warn("empty", "log() was called without a metric: nothing was logged.")
            return
        if step is None:
            step = next(self._steps)
        else:
            step = step if type(step) is int and -0x8000000000000000 <= step <= 0x7FFFFFFFFFFFFFFF else integer_step(step)
            if step > self._largest_step:
                self._steps = itertools.count(step + 1)
        if step > self._largest_step:
            self._largest_step = step
        if not self._session.sender.log(_record((self._id, step, moment_us, kept))) and self._session.strict:
            raise StorageFull(
                f"The points of step {step} were dropped: more wait {self._session.sender.kept} than may, because the store does not take "
                "them. Bring it back, or make room for them."
            )

    def _kept(self, metrics: Mapping[str, object]) -> dict[str, Value]:
        kept: dict[str, Value] = {}
        for key, value in metrics.items():
            try:
                kept[self._checked(key)] = metric_value(key, value)
            except (UnsupportedValue, InvalidName) as error:
                if self._session.strict:
                    raise
                self._session.notices.warn(f"value {shortened(key)}", f"{error.detail} The other metrics of the call are kept.")
        return kept

    def _checked(self, key: object) -> str:
        if not isinstance(key, str):
            raise UnsupportedValue(f"The metric name {shortened(key, 40)} is {type(key).__name__}: names are text.")
        if key in self._settled_keys:
            return key
        checked = checked_key(key, "metric")
        if checked == key and len(self._settled_keys) < _MAX_SETTLED_KEYS:
            self._settled_keys.add(key)
        return checked

    def log_metrics(self, metrics: Mapping[str, object], step: int | None = 0, wallclock: float | datetime | None = None) -> None:
        """Log a dict of metrics at one step, as the SDK of 2022 did; see :meth:`log`."""
        self.log(metrics, step=step, wall_time=wallclock)

    def all_metrics(self) -> dict[str, list[MetricValue]]:
        """Return every point of every metric, by key, ordered by (step, wall clock).

        For many experiments at once, and as a DataFrame, use :func:`modelbox.metrics`.
        """
        points: dict[str, list[MetricValue]] = {}
        for block in self.read_metrics():
            known = points.setdefault(block.key, [])
            mixed = bool(known)
            known += _points(block)
            if mixed:  # numbers and text under one key
                known.sort(key=itemgetter(0, 1))
        return points

    def read_metrics(
        self,
        keys: list[str] | None = None,
        *,
        max_points: int | None = None,
        first_step: int | None = None,
        last_step: int | None = None,
    ) -> list[SeriesBlock]:
        """Return metrics as columns, all or those named `keys`.

        Parameters
        ----------
        keys
            Metrics; all when left out.
        max_points
            Thin each series to about so many points, keeping minima and maxima; every point when left out.
        first_step, last_step
            Only points from the one step to the other, both included.
        """
        self._session.settle()
        query = MetricsQuery(objects=[self._id], keys=keys, max_points=max_points, first_step=first_step, last_step=last_step)
        return self._session.transport.read_metrics(query)

    def summaries(self) -> dict[str, SeriesSummary]:
        """Return count, bounds and last value of every metric, by key, without reading the points."""
        self._session.settle()
        series = self._session.call(routes.SUMMARIZE_METRICS, body=SummariesQuery(objects=[self._id])).series
        return {summary.key: _with_number(summary) for summary in series}

    def flush(self, timeout_s: float | None = None) -> FlushReport:
        """Wait until everything that was logged has arrived, at most `timeout_s`, and return what is left; never raises for outages."""
        return self._session.sender.flush(timeout_s)


def _merged(values: object, metrics: Mapping[str, object]) -> dict[str, object]:
    if not isinstance(values, Mapping):
        raise InvalidRequest(f"log() takes a dict of metrics or keywords, not {type(values).__name__}: write log(loss=0.5).")
    return {**values, **metrics}


def _points(block: SeriesBlock) -> list[MetricValue]:
    steps = memoryview(block.steps).cast("B").cast("q").tolist()
    walls = memoryview(block.wall_times_us).cast("B").cast("q").tolist()
    # The kind of the block decides what its values are, which its type cannot say.
    values = block.values if block.kind is not ValueKind.FLOAT else memoryview(block.values).cast("B").cast("d").tolist()  # type: ignore[arg-type]
    return [MetricValue(step, wall / 1e6, value) for step, wall, value in zip(steps, walls, values, strict=True)]  # type: ignore[arg-type]


def _with_number(summary: SeriesSummary) -> SeriesSummary:
    """Read back a last value that is NaN or infinite: as JSON it is text, and a text series may hold the same word."""
    if summary.kind is ValueKind.FLOAT and isinstance(summary.last, str):
        return msgspec.structs.replace(summary, last=float(summary.last))
    return summary


def wire_metrics(metrics: Mapping[str, object]) -> dict[str, WireFloat]:
    """Return a dict of single numbers as it travels, such as the metrics of a checkpoint."""
    numbers: dict[str, WireFloat] = {}
    for key, given in metrics.items():
        value = metric_value(key, given)
        if not isinstance(value, float):
            raise UnsupportedValue(f"Metric {key!r} of a checkpoint is {type(given).__name__}: give a number.", field=key)
        numbers[key] = float_to_wire(value)
    return numbers
