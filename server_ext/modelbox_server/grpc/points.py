"""Between points as the stores keep them and messages of 2022, which carry one point at a time and have floats of 32 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from modelbox.entities.series import ValueKind
from modelbox.errors import InvalidRequest, shortened
from modelbox_server.grpc.gathering import Point
from modelbox_server.grpc.schema import message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelbox.entities.series import SeriesBlock
    from modelbox_server.grpc.convert import Message

__all__ = ["metrics_messages", "point_of"]

_INT64_MAX = 2**63 - 1
_MAX_WALL_TIME_S = _INT64_MAX // 1_000_000


_VALUE_FIELDS = {ValueKind.FLOAT: "f_val", ValueKind.TEXT: "s_tensor", ValueKind.BYTES: "b_tensor"}
_KINDS = {field: kind for kind, field in _VALUE_FIELDS.items()}


def point_of(request: Message) -> Point:
    """Return the point of a LogMetricsRequest.

    Raises
    ------
    InvalidRequest
        There is no value, or step or wall clock do not fit in 63 bits.
    """
    value = request.value
    field = value.WhichOneof("value")
    if field is None:
        raise InvalidRequest("The point has no value: set f_val, s_tensor or b_tensor.", field="value")
    step, at_s = value.step, value.wallclock_time
    if step > _INT64_MAX:
        raise InvalidRequest(f"The step {step} must be below 2^63.", field="value.step")
    if at_s > _MAX_WALL_TIME_S:
        raise InvalidRequest(f"The wall clock {shortened(at_s, 40)} must be seconds since 1970.", field="value.wallclock_time")
    return Point(request.parent_id, request.key, _KINDS[field], step, at_s * 1_000_000, getattr(value, field))


def metrics_messages(blocks: Iterable[SeriesBlock]) -> list[Message]:
    """Return one Metrics per key, its points in the order of their steps, whatever their kinds.

    A step below zero, which 2022 could not say, is left out; a wall clock before 1970 becomes 0.
    """
    by_key: dict[str, list[tuple[int, int, str, object]]] = {}
    for block in blocks:
        steps = np.asarray(block.steps, dtype=np.int64).tolist()
        wall_times_us = np.asarray(block.wall_times_us, dtype=np.int64).tolist()
        values = np.asarray(block.values).tolist() if block.kind is ValueKind.FLOAT else block.values
        field = _VALUE_FIELDS[block.kind]
        by_key.setdefault(block.key, []).extend(
            (step, max(0, at_us) // 1_000_000, field, value)
            for step, at_us, value in zip(steps, wall_times_us, values, strict=True)  # type: ignore[arg-type]  # a list in all cases
            if step >= 0
        )
    point = message("MetricsValue")
    return [
        message("Metrics")(
            key=key,
            values=[
                point(step=step, wallclock_time=at_s, **{field: value})
                for step, at_s, field, value in sorted(points, key=lambda one: (one[0], one[1]))
            ],
        )
        for key, points in sorted(by_key.items())
    ]
