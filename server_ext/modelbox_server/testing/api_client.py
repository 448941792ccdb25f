"""A plain HTTP client for tests: it sends what it is told to, adds nothing, and never raises for a status."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelbox.wire.routes import API_PREFIX

if TYPE_CHECKING:
    from modelbox.entities.records import Json

__all__ = ["Answer", "ApiClient"]

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Sends requests to one server.

    Parameters
    ----------
    url
        Where the server's root, or ModelBox below a Jupyter server, is.
    headers
        Sent with every request: the credentials.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def request(
        self,
        method: str,
        path: str,
        *,
        json_body: Json = None,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request on a connection of its own; an iterable `body` goes out in chunks."""
        parts = urlsplit(self.url)
        sent = {**self.headers}
        if json_body is not None:
            body = json.dumps(json_body).encode()
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
        try:
            connection.request(method, parts.path + path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def api(self, method: str, path: str, json_body: Json = None, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request below ``/api/v1``."""
        return self.request(method, API_PREFIX + path, json_body=json_body, headers=headers)

    def create_experiment(self, name: str = "lauf/é", namespace: str = "équipe/vision") -> str:
        """Make an experiment and return its id."""
        answer = self.api("POST", "/experiments", {"name": name, "namespace": namespace})
        if answer.status not in {200, 201}:
            raise AssertionError(answer)
        return str(answer.json["item"]["id"])
