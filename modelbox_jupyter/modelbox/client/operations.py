"""Creations and notes on their way to the store: all that a program does to an experiment besides logging points.

An :class:`Operation` is a call of the route table that is kept in the journal, in order with the points, and carried out by the sender.
Each may be carried out again without a second effect: ids are made here, and the store remembers the `key` of those that it carried out.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from modelbox.entities.ids import random_id
from modelbox.errors import ChecksumMismatch, InvalidRequest
from modelbox.wire import routes
from modelbox.wire.messages import ArtifactUploadQuery, ExperimentCreate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelbox.client.transport import Transport
    from modelbox.wire.routes import Route

__all__ = ["Operation", "operation"]

Q = TypeVar("Q")
B = TypeVar("B")
R = TypeVar("R")

_NOTHING = msgspec.Raw(b"")
_ROUTES: dict[str, Route[object, object, object]] = {
    route.name: cast("Route[object, object, object]", route)
    for route in (
        routes.CREATE_EXPERIMENT,
        routes.UPDATE_EXPERIMENT,
        routes.CREATE_CHECKPOINT,
        routes.UPDATE_METADATA,
        routes.DELETE_METADATA,
        routes.LOG_EVENT,
        routes.TRACK_ARTIFACTS,
        routes.UPLOAD_ARTIFACT,
    )
}


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call that waits to be carried out.

    Parameters
    ----------
    key
        Names this call and its repetitions.
    route
        Name of the route.
    path, query, body
        As the route has them; the latter two as JSON.
    file
        For uploads: a file that is kept with the journal, or the path of one elsewhere.
    """

    key: str
    route: str
    path: dict[str, str] = {}
    query: msgspec.Raw = _NOTHING
    body: msgspec.Raw = _NOTHING
    file: str = ""

    @property
    def creates(self) -> ExperimentCreate | None:
        """The experiment that it creates, if it does."""
        return msgspec.json.decode(self.body, type=ExperimentCreate) if self.route == routes.CREATE_EXPERIMENT.name else None

    @property
    def what(self) -> str:
        """What it does, for people: ``"update_metadata of 3f2a…"``."""
        created = self.creates
        return f"{self.route} {created.name!r}" if created is not None else f"{self.route} of {next(iter(self.path.values()), '')}"

    def without_parent(self) -> Operation:
        """Return the creation of the same experiment without its parent."""
        created = self.creates
        if created is None:
            return self
        return msgspec.structs.replace(self, body=_raw(msgspec.structs.replace(created, parent_id=None)))

    def carry_out(self, transport: Transport) -> object:
        """Make the call and return the answer.

        Raises
        ------
        ModelBoxError
            As the store raises it.
        """
        route = _ROUTES.get(self.route)
        if route is None:
            raise InvalidRequest(f"This version of ModelBox knows no operation {self.route!r}: send the journal with a newer one.")
        query = None if not self.query else msgspec.json.decode(self.query, type=route.query)
        if isinstance(query, ArtifactUploadQuery):
            return self._upload(transport, query)
        body = None if not self.body or route.body is None else msgspec.json.decode(self.body, type=route.body)
        return transport.call(route, path=self.path, query=query, body=body, key=self.key)

    def _upload(self, transport: Transport, query: ArtifactUploadQuery) -> object:
        with _open_kept(Path(self.file), query.name) as file:
            return transport.upload(self.path["object_id"], query, file)


def _open_kept(path: Path, name: str) -> io.FileIO:
    """Open the file of an upload.

    Raises
    ------
    ChecksumMismatch
        It is not there any more.
    """
    try:
        return io.FileIO(path)
    except OSError as error:
        raise ChecksumMismatch(f"The file of {name!r} is gone ({path}: {error.strerror}), so it is not stored.") from error


def operation(
    route: Route[Q, B, R], *, path: Mapping[str, str] | None = None, query: Q | None = None, body: B | None = None, file: str = ""
) -> Operation:
    """Return a call of `route` as an operation."""
    return Operation(random_id(), route.name, dict(path or {}), _raw(query), _raw(body), file)


def _raw(message: object) -> msgspec.Raw:
    return _NOTHING if message is None else msgspec.Raw(msgspec.json.encode(message))
