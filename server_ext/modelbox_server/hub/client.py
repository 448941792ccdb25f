"""What a service asks of its JupyterHub: whose a token is, and a token for somebody who signed in there.

Two endpoints are all of it, so that the package `jupyterhub` need not be installed.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from modelbox.errors import HubUnavailable, ModelBoxError, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelbox.entities.records import Json

__all__ = ["HubClient", "HubConnection", "HubUser"]

log = logging.getLogger(__name__)

_ANSWER_S = 10.0
_RETRY_S = 2.0
_AT_ONCE = 20
_BAD_GATEWAY = 500


@dataclass(frozen=True, slots=True)
class HubConnection:
    """A JupyterHub, and this service as it knows it.

    Parameters
    ----------
    api_url
        Where the server reaches the API of the Hub, such as ``http://hub:8081/hub/api``.
    api_token
        The token of this service there, which is its OAuth secret too.
    service_name
        Its name among the services of the Hub.
    client_id
        Its name as an OAuth client.
    prefix
        Path that everything is served below, without a slash at its end.
    base_url
        Where browsers find the Hub, up to ``hub/``; a path when it is on the same host.
    admins_are_operators
        Whether administrators of the Hub may do everything here.
    """

    api_url: str
    api_token: str = field(repr=False)
    service_name: str = "modelbox"
    client_id: str = "service-modelbox"
    prefix: str = "/services/modelbox"
    base_url: str = "/"
    admins_are_operators: bool = False

    @property
    def callback_path(self) -> str:
        """Where the Hub sends browsers back to."""
        return f"{self.prefix}/oauth_callback"

    def authorize_url(self, state: str) -> str:
        """Return where somebody signs in; `state` comes back with them."""
        query = urlencode({"client_id": self.client_id, "redirect_uri": self.callback_path, "response_type": "code", "state": state})
        return f"{self.base_url.rstrip('/')}/hub/api/oauth2/authorize?{query}"


@dataclass(frozen=True, slots=True)
class HubUser:
    """Whose a token is, and what it may be used for."""

    name: str
    groups: tuple[str, ...]
    scopes: frozenset[str]
    is_admin: bool


class HubClient:
    """Asks the Hub. Use it on one event loop only.

    Parameters
    ----------
    connection
        Where it is, and who asks.
    """

    def __init__(self, connection: HubConnection) -> None:
        self._connection = connection
        self._client: AsyncHTTPClient | None = None

    async def user(self, token: str) -> HubUser:
        """Return whose a token is.

        Raises
        ------
        Unauthenticated
            Nobody's, or not any more.
        HubUnavailable
            The Hub does not answer.
        """
        answer = await self._ask("/user", headers={"Authorization": f"token {token}"})
        if answer is None:
            raise Unauthenticated(
                "JupyterHub does not know this token: it was revoked, or belongs to another Hub. Send a token of this Hub."
            )
        return _user(answer)

    async def token_for(self, code: str) -> str:
        """Return the token of somebody who came back from the Hub with `code`.

        Raises
        ------
        Unauthenticated
            The Hub does not know the code.
        HubUnavailable
            The Hub does not answer.
        """
        here = self._connection
        form = {
            "client_id": here.client_id,
            "client_secret": here.api_token,
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": here.callback_path,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self._ask("/oauth2/token", method="POST", body=urlencode(form), headers=headers)
        token = answer.get("access_token") if answer is not None else None
        if not isinstance(token, str):
            raise Unauthenticated("JupyterHub does not know who signed in: open the page again, and sign in once more.")
        return token

    async def _ask(
        self, path: str, *, method: str = "GET", body: str | None = None, headers: Mapping[str, str]
    ) -> Mapping[str, Json] | None:
        """Return what the Hub answers; ``None`` where it refuses."""
        if self._client is None:
            self._client = AsyncHTTPClient(force_instance=True, max_clients=_AT_ONCE)
        request = HTTPRequest(
            f"{self._connection.api_url.rstrip('/')}{path}",
            method=method,
            body=body,
            headers=dict(headers),
            connect_timeout=_ANSWER_S,
            request_timeout=_ANSWER_S,
            follow_redirects=False,
        )
        try:
            answer: object = json.loads((await self._client.fetch(request)).body)
        except HTTPClientError as error:
            if 400 <= error.code < _BAD_GATEWAY:
                return None
            raise _away(error) from error
        except (OSError, ValueError) as error:
            raise _away(error) from error
        if not isinstance(answer, dict):
            raise _away(ValueError("no JSON object"))
        return answer


def _away(error: Exception) -> ModelBoxError:
    log.warning("JupyterHub does not answer as it should: %s", error)
    return HubUnavailable("JupyterHub, which knows who you are, does not answer: try again in a moment.", retry_after_s=_RETRY_S)


def _user(model: Mapping[str, Json]) -> HubUser:
    name, groups, scopes = model.get("name"), model.get("groups"), model.get("scopes")
    if not isinstance(name, str) or not name or not isinstance(scopes, list):
        raise _away(ValueError("a user without name or scopes: JupyterHub 3 or newer is needed"))
    # Services have names of their own, which may be those of users.
    shown = name if model.get("kind") == "user" else f"service:{name}"
    known = tuple(sorted(group for group in groups if isinstance(group, str))) if isinstance(groups, list) else ()
    return HubUser(shown, known, frozenset(scope for scope in scopes if isinstance(scope, str)), model.get("admin") is True)
