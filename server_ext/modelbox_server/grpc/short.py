"""Calls that are answered without gRPC's own server: ``LogMetrics``, the one that programs make thousands of a second of."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING

from modelbox.errors import ModelBoxError, StorageError, shortened
from modelbox_server.grpc.complete import complete
from modelbox_server.grpc.convert import decoder
from modelbox_server.grpc.points import point_of
from modelbox_server.grpc.schema import PACKAGE, SERVICES
from modelbox_server.grpc.statuses import NUMBERS, go_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from modelbox_server.grpc.gathering import Gatherer, Stored
    from modelbox_server.grpc.peers import Peer
    from modelbox_server.grpc.splice import Answer
    from modelbox_server.http.face import Face
    from modelbox_server.service.context import Caller

__all__ = ["LoggedPoints"]

_SERVICE, _METHOD = f"{PACKAGE}.ModelStore", "LogMetrics"
_PATH = f"/{_SERVICE}/{_METHOD}"

log = logging.getLogger(__name__)


class LoggedPoints:
    """Carries out ``LogMetrics``, as :class:`~modelbox_server.grpc.splice.ShortCalls`.

    Parameters
    ----------
    face
        Counts, and knows whether work is taken.
    admit
        Returns who calls, by headers and the other end of the connection.
    gatherer
        Stores the points.
    """

    def __init__(self, face: Face, admit: Callable[[Mapping[str, str], Peer], Awaitable[Caller]], gatherer: Gatherer) -> None:
        self._face = face
        self._admit = admit
        self._gatherer = gatherer
        self._decode = decoder(_METHOD, SERVICES["ModelStore"][_METHOD])
        self._numbers = itertools.count()
        # Kept, because a task that nobody holds may be collected before it has run.
        self._work: set[asyncio.Task[None]] = set()

    def takes(self, path: str) -> bool:
        """Take ``LogMetrics`` alone."""
        return path == _PATH

    def call(self, path: str, headers: Mapping[str, str], peer: Peer, request: bytes, answer: Answer) -> None:
        """Let the point be stored, and answer then."""
        del path
        number = f"point {next(self._numbers)}"
        self._face.begin(number)
        metered = self._face.meters.grpc_call("unary", _SERVICE, _METHOD)
        metered.received = 1

        def stored(error: BaseException | None) -> None:
            if error is None:
                metered.sent = 1
                metered.ended("OK")
                answer()
            else:
                known = error if isinstance(error, ModelBoxError) else _unexpected(error)
                metered.ended(go_name(known.grpc_code))
                answer(NUMBERS[known.grpc_code], known.detail or shortened(known), known.retry_after_s)
            self._face.end(number)

        work = asyncio.get_running_loop().create_task(self._submit(headers, peer, request, stored))
        self._work.add(work)
        work.add_done_callback(self._work.discard)

    async def _submit(self, headers: Mapping[str, str], peer: Peer, request: bytes, stored: Stored) -> None:
        try:
            caller = await self._admit(headers, peer)
            message = complete(_METHOD, self._decode(request))
            self._gatherer.submit(caller, point_of(message), stored)
        except Exception as error:  # noqa: BLE001  (nobody else would answer)
            stored(error)


def _unexpected(error: BaseException) -> ModelBoxError:
    log.error("A point could not be stored", exc_info=error)
    return StorageError("The point could not be stored, for a reason that the log of the server tells: try again, then look there.")
