"""The gate of a server behind a JupyterHub: tokens of the Hub in headers, and browsers that signed in at the Hub.

A browser has two cookies, both for this service's path alone. The session holds its token, signed, where no script can read it. The other
one is a digest of it that the page has to send in a header with every call, reads included: pages of other users' servers lie on the same
host, so that neither the origin nor SameSite tells them from ours, but they cannot read a cookie of this path.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from tornado import web

from modelbox.errors import PermissionDenied, Unauthenticated
from modelbox_server.http.auth import TokenGate, is_ip_address, sent_token, token_digest_of
from modelbox_server.hub.client import HubClient
from modelbox_server.hub.identity import HubPeople
from modelbox_server.service.context import Caller
from modelbox_server.service.tokens import TOKEN_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelbox_server.http.auth import Action
    from modelbox_server.hub.client import HubConnection

__all__ = ["LOGIN_HEADER", "SESSION_COOKIE", "XSRF_COOKIE", "XSRF_HEADER", "HubGate"]

SESSION_COOKIE: Final = "modelbox-session"
XSRF_COOKIE: Final = "modelbox-xsrf"
XSRF_HEADER: Final = "X-XSRFToken"
LOGIN_HEADER: Final = "ModelBox-Login"
"""On refusals: where a browser signs in, relative to the page."""

_SCHEMES: Final = ("bearer", "token")  # the second is how Jupyter's own programs say it
_SESSION_DAYS: Final = 14
_FRAMES: Final = {
    # What is served here, errors too, lies on the origin of other users' pages: they must not get hold of it in a frame or a window.
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class HubGate(TokenGate):
    """Lets in whom the Hub knows, and the holders of tokens that were made here.

    Parameters
    ----------
    connection
        The Hub, and this service there.
    token
        A secret that lets everything in; known to nobody unless it is configured.
    """

    def __init__(self, connection: HubConnection, token: str) -> None:
        super().__init__(token, user="operator")
        self.connection = connection
        self.client = HubClient(connection)
        self._people = HubPeople(connection, self.client)
        self._secret = hmac.digest(connection.api_token.encode(), b"modelbox sessions", "sha256").hex()

    async def admit(self, handler: web.RequestHandler, action: Action | None) -> Caller:
        """Take the token of the header, else that of the browser's session."""
        for name, value in _FRAMES.items():
            handler.set_header(name, value)
        address = self._address_of(handler)
        if action is None:
            return Caller(name="", face="http", address=address)
        token = sent_token(handler.request.headers.get("Authorization", ""), _SCHEMES)
        if not token and (token := self.session(handler)):
            self._check_browser(handler, token)
        elif handler.request.headers.get("Origin") is not None:
            self._check_origin(handler)
        try:
            return await self.caller(token, handler.request.headers, face="http", address=address, is_trusted=False)
        except Unauthenticated:
            handler.set_header(LOGIN_HEADER, "login")
            raise

    async def caller(self, token: str, headers: Mapping[str, str], *, face: str, address: str, is_trusted: bool) -> Caller:
        """Return whoever sends `token`: one of the Hub, one that was made here, or that of this server."""
        del is_trusted  # on the machine of a Hub, all users' servers may run under the account of this one
        if not token:
            raise Unauthenticated("This needs a token of JupyterHub: send 'Authorization: Bearer TOKEN', or sign in.")
        digest = token_digest_of(token)
        if self._directory is None or token.startswith(TOKEN_PREFIX) or self.holds(digest):
            return await super().caller(token, headers, face=face, address=address, is_trusted=False)
        return await self._people.caller(token, digest, self._directory, face=face, address=address)

    # --- browsers ------------------------------------------------------------------------------------------------------------------------

    def session(self, handler: web.RequestHandler) -> str:
        """Return the token of the browser's session; empty where it has none."""
        value = web.decode_signed_value(self._secret, SESSION_COOKIE, handler.get_cookie(SESSION_COOKIE) or "", max_age_days=_SESSION_DAYS)
        return "" if value is None else value.decode()

    def begin_session(self, handler: web.RequestHandler, token: str) -> None:
        """Give the browser a session; it had none, or one that it need not have any more."""
        path, is_secure = f"{self.connection.prefix}/", self.is_secure(handler)
        signed = self.signed(SESSION_COOKIE, token)
        handler.set_cookie(SESSION_COOKIE, signed, path=path, httponly=True, secure=is_secure, samesite="Lax", expires_days=_SESSION_DAYS)
        xsrf = self.xsrf_of(token)
        handler.set_cookie(XSRF_COOKIE, xsrf, path=path, secure=is_secure, samesite="Strict", expires_days=_SESSION_DAYS)

    def end_session(self, handler: web.RequestHandler) -> None:
        """Take the session from the browser."""
        for name in (SESSION_COOKIE, XSRF_COOKIE):
            handler.clear_cookie(name, path=f"{self.connection.prefix}/")

    def xsrf_of(self, token: str) -> str:
        """Return what a page has to send beside the session."""
        return hmac.new(self._secret.encode(), token.encode(), hashlib.sha256).hexdigest()

    def signed(self, name: str, value: str) -> str:
        """Return a value that :meth:`unsigned` knows for ours."""
        return web.create_signed_value(self._secret, name, value).decode()

    def unsigned(self, name: str, value: str, max_age_days: float) -> str:
        """Return what :meth:`signed` was given; empty when it is not ours, or too old."""
        found = web.decode_signed_value(self._secret, name, value, max_age_days=max_age_days)
        return "" if found is None else found.decode()

    def is_secure(self, handler: web.RequestHandler) -> bool:
        """Tell whether the browser speaks TLS, with the Hub's proxy or with us."""
        forwarded = handler.request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip()
        return (forwarded or handler.request.protocol) == "https" or self.connection.base_url.startswith("https:")

    def _check_browser(self, handler: web.RequestHandler, token: str) -> None:
        """Refuse requests that our own page did not send."""
        headers = handler.request.headers
        if len(self._hosts) > 1:  # cookies are bound to a host anyway, and nobody need know all names of a Hub
            self._check_host(headers.get("Host", ""))
        if headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise PermissionDenied("Pages of other origins may not use your session here: open ModelBox itself.", field="Sec-Fetch-Site")
        self._check_origin(handler)
        if not hmac.compare_digest(headers.get(XSRF_HEADER, "").encode(), self.xsrf_of(token).encode()):
            raise PermissionDenied(
                f"A browser has to send the cookie {XSRF_COOKIE} in the header {XSRF_HEADER}: open the page anew, or send a token instead.",
                field=XSRF_HEADER,
            )

    def _address_of(self, handler: web.RequestHandler) -> str:
        """Return where a request came from: what a proxy on this machine says, as it adds that itself, else its peer."""
        peer = handler.request.remote_ip or ""
        forwarded = handler.request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip().removeprefix("::ffff:")
        return forwarded if forwarded and peer in {"127.0.0.1", "::1"} and is_ip_address(forwarded) else peer
