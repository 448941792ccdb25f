"""The API as tornado rules: one handler per path of the route table, health and the web page beside it, a JSON 404 for everything else."""

from __future__ import annotations

import re
from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING

from modelbox.errors import NotFound, shortened
from modelbox.wire.json import decode, encode
from modelbox.wire.messages import Created
from modelbox.wire.routes import API_PREFIX, ROUTES
from modelbox_server import operations
from modelbox_server.http.downloads import DownloadExchange
from modelbox_server.http.exchange import JSON, UNLIMITED, Exchange, ExchangeHandler, Verb
from modelbox_server.http.health import HEALTH
from modelbox_server.http.incoming import body_media, query_of
from modelbox_server.http.meters import METRICS_PATH, MetersExchange
from modelbox_server.http.metrics import IngestExchange, ReadExchange
from modelbox_server.http.openapi import openapi_document
from modelbox_server.http.page import PAGE, ToPageExchange
from modelbox_server.http.uploads import UploadExchange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelbox.wire.routes import Route
    from modelbox_server.http.face import Face

    AnyRoute = Route[object, object, object]
    Rule = tuple[str, type[ExchangeHandler], dict[str, object]]

__all__ = ["JSON_LIMIT_BYTES", "METRICS_LIMIT_BYTES", "OPENAPI_PATH", "JsonExchange", "handler_rules", "path_pattern"]

JSON_LIMIT_BYTES = 4 * 1024 * 1024
"""Longest body of a JSON route."""

METRICS_LIMIT_BYTES = 64 * 1024 * 1024
"""Longest batch of metric points."""

OPENAPI_PATH = f"{API_PREFIX}/openapi.json"

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class JsonExchange(Exchange):
    """JSON in, JSON out: decodes, carries out the operation and encodes, all in a worker thread."""

    def __init__(self, handler: ExchangeHandler, route: AnyRoute) -> None:
        super().__init__(handler)
        self._route = route
        self._query: object = None
        self._body = bytearray()

    async def begin(self) -> None:
        """Check the query, and that a body is JSON."""
        self._query = query_of(self.handler, self._route.query)
        if self._route.body is not None:
            body_media(self.handler, JSON)

    async def receive(self, data: bytes) -> None:
        """Keep the body."""
        self._body += data

    async def answer(self) -> None:
        """Carry out the operation."""
        body, created = await self.handler.face.run(self._work)
        await self.handler.send(body, status=201 if created else 200)

    def _work(self) -> tuple[bytes, bool]:
        route, handler = self._route, self.handler
        body = None if route.body is None else decode(memoryview(self._body), route.body)
        response = operations.run(handler.face.services(), handler.caller, route, handler.path_kwargs, self._query, body)
        return encode(response), isinstance(response, Created) and not response.exists


class OpenApiExchange(Exchange):
    """Serves the description of the API."""

    async def answer(self) -> None:
        """Send the document, which says under which address it was asked for."""
        mount = self.handler.request.path.removesuffix(OPENAPI_PATH)
        await self.handler.send(await self.handler.face.run(lambda: encode(openapi_document(mount))))


class UnknownExchange(Exchange):
    """Says that a path is not part of the API, to those who may use the API."""

    async def begin(self) -> None:
        """Refuse."""
        raise NotFound(f"There is no {shortened(self.handler.request.path)} here: {OPENAPI_PATH} lists what there is.")

    async def answer(self) -> None:
        """Never come here."""
        raise AssertionError


def handler_rules(
    face: Face,
    closed: type[ExchangeHandler],
    open_to_all: type[ExchangeHandler],
    prefix: str = "",
    pages: Mapping[str, Callable[[ExchangeHandler], Exchange]] = MappingProxyType({}),
) -> list[Rule]:
    """Return the tornado rules that serve everything below `prefix`.

    Parameters
    ----------
    face
        What serves it.
    closed, open_to_all
        :class:`ExchangeHandler`, or what a surrounding server makes of it for paths that need a credential and for those that do not.
    prefix
        Path in front of ``/api/v1``, ``/healthz`` and the page at ``/``, without a slash at its end.
    pages
        What else is open to everybody, by path, or takes the place of what is.
    """
    paths: defaultdict[str, dict[str, Verb]] = defaultdict(dict)
    for route in ROUTES:
        verb = _verb(route)
        paths[API_PREFIX + route.path][route.method] = verb
        if route.stream == "download":
            paths[API_PREFIX + route.path]["HEAD"] = verb
    paths[OPENAPI_PATH]["GET"] = Verb("read", 0, OpenApiExchange)

    paths[METRICS_PATH]["GET"] = Verb("read", 0, MetersExchange)

    rules = [_rule(face, closed, prefix + path_pattern(path), verbs, path) for path, verbs in paths.items()]
    opened: dict[str, Callable[[ExchangeHandler], Exchange]] = {**HEALTH, **PAGE, **pages}
    if prefix:
        opened[""] = ToPageExchange
    rules += [
        _rule(face, open_to_all, prefix + path_pattern(path), dict.fromkeys(("GET", "HEAD"), Verb(None, 0, exchange)), path)
        for path, exchange in opened.items()
    ]
    unknown = Verb("read", UNLIMITED, UnknownExchange)
    rules.append(_rule(face, closed, f"{prefix}(?:/.*)?", dict.fromkeys(_METHODS, unknown)))
    return rules


def _rule(face: Face, handler: type[ExchangeHandler], pattern: str, verbs: Mapping[str, Verb], path: str = "") -> Rule:
    return pattern, handler, {"face": face, "verbs": verbs, "path": path}


def path_pattern(path: str) -> str:
    """Return the regular expression of a path with ``{parameters}``."""
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))


def _verb(route: AnyRoute) -> Verb:
    match route.stream:
        case "metrics-in":
            return Verb(route.action, METRICS_LIMIT_BYTES, IngestExchange)
        case "metrics-out":
            return Verb(route.action, JSON_LIMIT_BYTES, ReadExchange)
        case "upload":
            return Verb(route.action, UNLIMITED, UploadExchange)
        case "download":
            return Verb(route.action, 0, DownloadExchange)
        case None:
            return Verb(route.action, JSON_LIMIT_BYTES if route.body else 0, lambda handler: JsonExchange(handler, route))
