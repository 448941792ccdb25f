"""The page for Prometheus: on the port of the API for whoever may read, and on a port of its own for whoever reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from tornado import web

from modelbox_server.http.exchange import Exchange

if TYPE_CHECKING:
    from modelbox_server.http.face import Face

__all__ = ["METRICS_PATH", "MetersExchange", "MetersHandler", "meters_app"]

METRICS_PATH: Final = "/metrics"


class MetersExchange(Exchange):
    """Answers with all families."""

    async def answer(self) -> None:
        """Send the page."""
        page = await self.handler.face.run(self.handler.face.meters.page)
        await self.handler.send(page, media=CONTENT_TYPE_PLAIN_0_0_4)


class MetersHandler(web.RequestHandler):
    """Serves the page and nothing else. It names routes, stores and errors, and nothing that users wrote."""

    def initialize(self, face: Face) -> None:
        """Take the face whose work is counted."""
        self._face = face

    async def get(self) -> None:
        """Send the page."""
        page = await self._face.run(self._face.meters.page)
        self.set_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.clear_header("Server")
        self.finish(page)

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """Say what there is."""
        del kwargs
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: GET {METRICS_PATH} is all there is here.\n")


def meters_app(face: Face) -> web.Application:
    """Return the application of the port of its own."""

    class NotHere(MetersHandler):
        async def get(self) -> None:
            self.send_error(404)

    return web.Application([(METRICS_PATH, MetersHandler, {"face": face}), (".*", NotHere, {"face": face})])
