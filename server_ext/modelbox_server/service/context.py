"""Who asks, through which door, and what time it is: what a service call needs beside its request."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

__all__ = ["Caller", "Clock"]

Clock: TypeAlias = Callable[[], datetime]
"""Tells the time as an aware UTC datetime. It may jump."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The person or program behind a call.

    Parameters
    ----------
    name
        Login name as the face knows it; it becomes the `actor` of change events and the default owner of what is created.
    face
        Door they came through: ``embedded``, ``http``, ``jupyter`` or ``grpc``.
    address
        Network address they came from; empty in process.
    operation
        Key that they gave to this call; the same key again has no effect. Empty for calls that may be made as often as one likes.
    """

    name: str
    face: str
    address: str = ""
    operation: str = ""
