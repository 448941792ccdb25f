"""Blocks of metric points on the wire: as JSON columns, and (from :mod:`modelbox.wire.arrow`) as an Arrow IPC stream.

Both say the same; JSON is for people and small programs, Arrow for anything that is measured in points per second.
"""

import base64
import binascii
import math
import time
from array import array
from collections.abc import Sequence
from typing import cast

from typing_extensions import Buffer

from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.entities.values import WireFloat, float_from_wire, float_to_wire
from modelbox.errors import InvalidRequest, TooLarge, shortened
from modelbox.wire.arrow import ARROW_END, ARROW_STREAM, arrow_batch, arrow_schema, arrow_stream, blocks_to_arrow
from modelbox.wire.arrow_reader import MAX_ARROW_POINTS, blocks_from_arrow
from modelbox.wire.messages import MetricsJson, SeriesJson

__all__ = [
    "ARROW_END",
    "ARROW_STREAM",
    "MAX_ARROW_POINTS",
    "MAX_JSON_POINTS",
    "arrow_batch",
    "arrow_schema",
    "arrow_stream",
    "blocks_from_arrow",
    "blocks_from_json",
    "blocks_to_arrow",
    "blocks_to_json",
]

MAX_JSON_POINTS = 100_000
"""How many points one JSON batch may have."""


def blocks_to_json(blocks: Sequence[SeriesBlock]) -> MetricsJson:
    """Return `blocks` as JSON columns."""
    return MetricsJson(
        series=[
            SeriesJson(
                object_id=block.object_id,
                key=block.key,
                kind=block.kind,
                steps=memoryview(block.steps).cast("B").cast("q").tolist(),
                wall_times_us=memoryview(block.wall_times_us).cast("B").cast("q").tolist(),
                values=_values_to_json(block),
            )
            for block in blocks
        ]
    )


def _values_to_json(block: SeriesBlock) -> list[WireFloat | str]:
    if block.kind is ValueKind.TEXT:
        return list(cast(Sequence[str], block.values))
    if block.kind is ValueKind.BYTES:
        return [base64.b64encode(item).decode() for item in cast(Sequence[bytes], block.values)]
    floats = cast(list[float], memoryview(cast(Buffer, block.values)).cast("B").cast("d").tolist())
    return list(floats) if all(map(math.isfinite, floats)) else [float_to_wire(item) for item in floats]


def blocks_from_json(metrics: MetricsJson, *, object_id: str = "", max_points: int = MAX_JSON_POINTS) -> list[SeriesBlock]:
    """Return the blocks of JSON columns; steps left out count from 0, wall clocks left out are now.

    Parameters
    ----------
    metrics
        What was sent.
    object_id
        The object that the path names, for series that name none.
    max_points
        How many points there may be.

    Raises
    ------
    InvalidRequest
        Columns differ in length, or a value does not fit its series; the message names the series and the place.
    TooLarge
        There are more than `max_points` points.
    """
    points = sum(len(series.values) for series in metrics.series)
    if points > max_points:
        raise TooLarge(
            f"The batch has {points:,} points, and a JSON batch at most {max_points:,}: send it in parts, or as Arrow.",
            field="series",
            limit=f"{max_points} points",
        )
    now_us = time.time_ns() // 1000
    return [_block_from_json(series, f"series[{index}]", object_id, now_us) for index, series in enumerate(metrics.series)]


def _block_from_json(series: SeriesJson, where: str, object_id: str, now_us: int) -> SeriesBlock:
    count = len(series.values)
    steps = array("q", range(count)) if series.steps is None else _integers(series.steps, f"{where}.steps")
    clocks = array("q", [now_us]) * count if series.wall_times_us is None else _integers(series.wall_times_us, f"{where}.wall_times_us")
    if not len(steps) == len(clocks) == count:
        raise InvalidRequest(
            f"{where} ({shortened(series.key)}) has {len(steps)} steps, {len(clocks)} wall clocks and {count} values: they must be equal.",
            field=where,
        )
    values: Buffer | Sequence[str] | Sequence[bytes]
    match series.kind:
        case ValueKind.FLOAT:
            values = _floats(series.values, f"{where}.values")
        case ValueKind.TEXT:
            values = [_text(value, f"{where}.values[{i}]") for i, value in enumerate(series.values)]
        case ValueKind.BYTES:
            values = [_binary(value, f"{where}.values[{i}]") for i, value in enumerate(series.values)]
    return SeriesBlock(
        object_id=series.object_id or object_id, key=series.key, kind=series.kind, steps=steps, wall_times_us=clocks, values=values
    )


def _integers(numbers: Sequence[int], where: str) -> "array[int]":
    # A bool is an int to Python, and array() would take it silently.
    if set(map(type, numbers)) - {int}:
        raise InvalidRequest(f"{where} has a value that is no integer: send integers only.", field=where)
    try:
        return array("q", numbers)
    except OverflowError as error:
        wrong = next(number for number in numbers if not -(2**63) <= number < 2**63)
        raise InvalidRequest(
            f"{where} has {shortened(wrong, 40)}, which is outside 64 bits: send integers of 64 bits.", field=where
        ) from error


def _floats(values: Sequence[WireFloat | str], where: str) -> "array[float]":
    if set(map(type, values)) <= {float}:
        return array("d", cast(Sequence[float], values))
    return array("d", (_float(value, f"{where}[{index}]") for index, value in enumerate(values)))


def _float(value: WireFloat | str, where: str) -> float:
    match value:
        case bool():
            pass
        case float():
            return value
        case int():
            try:
                return float(value)
            except OverflowError:
                pass
        case "NaN" | "Infinity" | "-Infinity":
            return float_from_wire(value)
    raise InvalidRequest(
        f"{where} is {shortened(value, 40)}: a metric value is a number of float64, 'NaN', 'Infinity' or '-Infinity'.", field=where
    )


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{where} is {shortened(value, 40)}: values of a text series are text.", field=where)
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidRequest(f"{where} contains a lone surrogate: send valid Unicode.", field=where)
    return value


def _binary(value: object, where: str) -> bytes:
    try:
        return base64.b64decode(_text(value, where), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{where} is {shortened(value, 40)}: values of a bytes series travel as base64.", field=where) from error
