"""Calls that are made again when the database gave them up in favour of another."""

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from modelbox.errors import Collided

__all__ = ["again"]

P = ParamSpec("P")
R = TypeVar("R")

_TRIES = 5
_FIRST_PAUSE_S = 0.01


def again(call: Callable[P, R]) -> Callable[P, R]:
    """Let a service method run again after its transaction collided with another, of which nothing was kept.

    Writers lock what they are about when they begin, so this is for the rare ones that meet all the same, by making one namespace at the
    same moment for example.
    """

    @wraps(call)
    def patient(*args: P.args, **kwargs: P.kwargs) -> R:
        for tried in range(_TRIES - 1):
            try:
                return call(*args, **kwargs)
            except Collided:
                time.sleep(_FIRST_PAUSE_S * 2**tried * random.random())  # noqa: S311  (two that collide must not wait equally long)
        return call(*args, **kwargs)

    return patient
