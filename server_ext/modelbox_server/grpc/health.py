"""Health and reflection, as the tools of gRPC ask for them; open to everybody, like health over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from modelbox_server.grpc.schema import PACKAGE, SERVICES, pool

if TYPE_CHECKING:
    from modelbox_server.http.face import Face

__all__ = ["add_health", "add_reflection"]

_NAMES = tuple(f"{PACKAGE}.{service}" for service in SERVICES)


class _Health(health_pb2_grpc.HealthServicer):
    """Says whether requests can be served now, of the server as a whole (an empty name) and of each of its services."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def Check(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: N802  (the name of the method)
        if request.service not in {"", *_NAMES}:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"There is no service {request.service!r} here: ask for {' or '.join(_NAMES)}.")
        status = health_pb2.HealthCheckResponse
        return status(status=status.SERVING if await self._face.problem() is None else status.NOT_SERVING)


def add_health(server: grpc.aio.Server, face: Face) -> None:
    """Let a server answer ``grpc.health.v1.Health``."""
    health_pb2_grpc.add_HealthServicer_to_server(_Health(face), server)


def add_reflection(server: grpc.aio.Server) -> None:
    """Let a server describe its methods and messages to tools such as grpcurl."""
    names = (*_NAMES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server, pool=pool())
