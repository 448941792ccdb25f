"""Whether the server lives and can work: the only paths that are open without a credential, so they tell nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelbox.wire.json import encode
from modelbox_server.http.exchange import Exchange
from modelbox_server.service.info import program_version

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HEALTH"]


class LiveExchange(Exchange):
    """Answers, which proves that the event loop turns."""

    async def answer(self) -> None:
        """Say so."""
        await self.handler.send(encode({"status": "ok"}))


class ReadyExchange(Exchange):
    """Tells whether the storage can be written to.

    The reason is the kind of error alone: its sentence may name paths and hosts. The log has the sentence.
    """

    async def answer(self) -> None:
        """Say yes, or 503 and why not."""
        problem = await self.handler.face.problem()
        if problem is None:
            await self.handler.send(encode({"status": "ok"}))
        else:
            self.handler.set_header("Retry-After", "5")
            await self.handler.send(encode({"status": "unavailable", "code": problem.code, "reason": problem.title}), status=503)


class VersionExchange(Exchange):
    """Tells which version answers."""

    async def answer(self) -> None:
        """Say it."""
        await self.handler.send(encode({"version": program_version()}))


HEALTH: Mapping[str, type[Exchange]] = {
    "/livez": LiveExchange,
    "/readyz": ReadyExchange,
    "/healthz": ReadyExchange,
    "/version": VersionExchange,
}
"""Path to exchange."""
