"""A blob server: moves bytes between clients that have a ticket and the store that all servers share, and does nothing else.

It knows no experiment and no caller, keeps nothing, and asks nobody: what it may do stands in the ticket, which
:mod:`modelbox_server.service.tickets` reads. So there may be as many as the network needs, and each may go at any moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from tornado import web

from modelbox.errors import StorageError
from modelbox_server.grpc.server import GrpcServer
from modelbox_server.http.blobs import UNKNOWN_HERE, BlobFace, blob_rules
from modelbox_server.standalone import StandaloneServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from modelbox_server.observing.meters import Meters
    from modelbox_server.service.tickets import TicketDesk
    from modelbox_server.storage.interfaces import BlobStore

__all__ = ["BlobServer"]


class BlobServer(StandaloneServer):
    """Moves bytes until it is stopped.

    Parameters
    ----------
    open_blobs
        Opens the store, on first use and off the event loop.
    tickets
        Reads tickets, and writes receipts.
    meters
        What counts and times the work; fresh ones when left out.
    settings
        Where and how to listen, as for :class:`~modelbox_server.standalone.StandaloneServer`.
    """

    def __init__(self, open_blobs: Callable[[], BlobStore], tickets: TicketDesk, *, meters: Meters | None = None, **settings: Any) -> None:
        super().__init__(_no_services, meters=meters, **settings)
        self._blob_face = BlobFace(open_blobs, tickets, meters)
        self._face = self._blob_face

    def application(self, grpc: GrpcServer) -> web.Application:
        """Return what is served over HTTP."""
        del grpc
        return web.Application(list(blob_rules(self._blob_face)), compress_response=False)

    def grpc_server(self) -> GrpcServer:
        """Return what is served over gRPC: health, and a sentence."""
        return _NoGrpc(self._face, self._gate)


class _NoGrpc(GrpcServer):
    def add_services(self, server: grpc.aio.Server) -> None:
        server.add_generic_rpc_handlers((_Refusing(),))


class _Refusing(grpc.GenericRpcHandler):
    """Answers UNIMPLEMENTED to every call but those of the health service."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        if handler_call_details.method.startswith("/grpc.health."):
            return None

        async def refuse(pieces: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
            del pieces
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, UNKNOWN_HERE)
            yield b""

        return grpc.stream_stream_rpc_method_handler(refuse)


def _no_services() -> NoReturn:
    raise StorageError(UNKNOWN_HERE)
