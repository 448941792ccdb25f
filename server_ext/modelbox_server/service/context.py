"""Who asks, and through which door: the first argument of every service call."""

from dataclasses import dataclass

__all__ = ["Caller"]


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
    """

    name: str
    face: str
    address: str = ""
