"""The same handlers inside a Jupyter server: its login, its checks against other origins, its permissions, and a token for its kernels."""

from __future__ import annotations

import hmac
import os
import secrets
from typing import TYPE_CHECKING, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.identity import User
from jupyter_server.base.handlers import APIHandler
from tornado import web

from modelbox.errors import ModelBoxError, PermissionDenied, Unauthenticated, shortened
from modelbox_server.http.auth import bearer_token, os_user
from modelbox_server.http.exchange import JSON, ExchangeHandler
from modelbox_server.service.context import Caller

if TYPE_CHECKING:
    from asyncio import Future

    from modelbox_server.http.auth import Action

__all__ = ["JupyterExchangeHandler", "JupyterGate", "OpenJupyterExchangeHandler"]

_RESOURCE = "modelbox"


class LoginNeeded(Unauthenticated):
    """Nobody is logged in. Jupyter's front ends know this by status 403."""

    http_status = 403


class JupyterExchangeHandler(ExchangeHandler, APIHandler):  # type: ignore[misc]  # Jupyter's prepare() has a parameter for itself
    """An exchange behind Jupyter's own authentication, which looks for the decorator on every verb."""

    get = web.authenticated(ExchangeHandler.get)
    head = web.authenticated(ExchangeHandler.head)
    post = web.authenticated(ExchangeHandler.post)
    put = web.authenticated(ExchangeHandler.put)
    patch = web.authenticated(ExchangeHandler.patch)
    delete = web.authenticated(ExchangeHandler.delete)
    options = APIHandler.options  # type: ignore[assignment]  # Jupyter answers them by itself

    async def _admit(self) -> None:
        try:
            await super()._admit()
        except web.HTTPError as error:
            # Jupyter answers a missing login with a bare 403, from one of several places.
            if error.status_code == 403 and self.current_user is None:
                raise _refusal(self) from error
            raise

    def finish(self, chunk: str | bytes | dict[str, object] | None = None, **surroundings: object) -> Future[None]:
        """Keep the media type, which Jupyter would set to JSON for everything."""
        media = self._headers.get("Content-Type", JSON)
        return super().finish(chunk, **{**surroundings, "set_content_type": media})


class OpenJupyterExchangeHandler(JupyterExchangeHandler):
    """An exchange that is open to everyone: health."""

    get = allow_unauthenticated(ExchangeHandler.get)
    head = allow_unauthenticated(ExchangeHandler.head)


class JupyterGate:
    """Lets in whom Jupyter lets in, and the kernels that it started.

    Kernels get a token of their own by environment, because the server's token is empty when people log in with a password, and is not
    theirs to have when the server runs under a Hub. It opens nothing but ModelBox.
    """

    answers_options = True

    def __init__(self) -> None:
        self.kernel_token = secrets.token_urlsafe(32)

    def recognise(self, handler: web.RequestHandler) -> bool:
        """Recognise the kernel token, which stands in for a login and, like any token, for the checks against other origins."""
        if not hmac.compare_digest(bearer_token(handler).encode(errors="replace"), self.kernel_token.encode()):
            return False
        if not cast("APIHandler", handler).check_host():
            raise _refusal(handler)
        handler.current_user = User(username=_owner())
        return True

    async def admit(self, handler: web.RequestHandler, action: Action | None) -> Caller:
        """Ask Jupyter's authorizer for `action` on the resource ``modelbox``."""
        address = handler.request.remote_ip or ""
        if action is None:
            return Caller(name="", face="jupyter", address=address)
        jupyter = cast("APIHandler", handler)
        user = cast("User | None", jupyter.current_user)
        if user is None:
            raise _refusal(handler)
        if not await ensure_async(jupyter.authorizer.is_authorized(jupyter, user, action, _RESOURCE)):
            does = "ask in SQL" if action == "sql" else action
            raise PermissionDenied(f"Your account may not {does} here: ask whoever runs this Jupyter server for access to {_RESOURCE!r}.")
        return Caller(name=_name_of(jupyter, user), face="jupyter", address=address)

    def listed_origin(self, handler: web.RequestHandler) -> str | None:
        """Leave that to Jupyter, which has a list of its own."""
        del handler
        return None

    def ignores(self, parameter: str, values: list[bytes]) -> bool:
        """Ignore what Jupyter and its front end add: XSRF tokens, activity marks, and a bare time stamp against caches."""
        return parameter in {"_xsrf", "no_track_activity"} or (parameter.isdigit() and values == [b""])


def _refusal(handler: web.RequestHandler) -> ModelBoxError:
    if not cast("APIHandler", handler).check_host():
        host = shortened(handler.request.headers.get("Host", ""))
        return PermissionDenied(f"This Jupyter server does not answer for the host {host}: use its own address.", field="Host")
    return LoginNeeded("This needs a login: send 'Authorization: Bearer TOKEN' with the token of this Jupyter server.")


def _name_of(handler: APIHandler, user: User) -> str:
    """Return the name that a person is known by.

    Jupyter's own identity providers know a shared secret, not people, and make up an anonymous user for every login; the account that the
    server runs under is the person then. Others, such as JupyterHub's, know names.
    """
    anonymous = type(handler.identity_provider).__module__.startswith("jupyter_server.")
    return _owner() if anonymous else user.username


def _owner() -> str:
    return os.environ.get("JUPYTERHUB_USER") or os_user()
