"""Signing in at the Hub: the page sends browsers there, and they come back with a code for a token.

No address of ours takes a place to go to afterwards, so none can lead elsewhere: it is always the page.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

from modelbox.errors import ModelBoxError, PermissionDenied, Unauthenticated
from modelbox_server.http.exchange import Exchange
from modelbox_server.http.page import IndexExchange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelbox_server.http.exchange import ExchangeHandler
    from modelbox_server.hub.gate import HubGate

__all__ = ["sign_in_pages"]

_STATE = "modelbox-state"
_STATE_MINUTES = 10
_TAG_CHARS = 8


class _HubExchange(Exchange):
    def __init__(self, handler: ExchangeHandler, gate: HubGate) -> None:
        super().__init__(handler)
        self.gate = gate

    async def lead(self, to: str) -> None:
        """Send the browser somewhere."""
        self.handler.set_header("Location", to)
        self.handler.set_header("Referrer-Policy", "no-referrer")
        await self.handler.send(b"", media="text/plain", status=302)

    async def lead_to_hub(self) -> None:
        """Send the browser to sign in, and remember that it was us who sent it. Several tabs may do so at once."""
        nonce = secrets.token_urlsafe(24)
        gate, handler = self.gate, self.handler
        handler.set_cookie(
            f"{_STATE}-{nonce[:_TAG_CHARS]}",
            gate.signed(_STATE, nonce),
            path=gate.connection.callback_path,
            httponly=True,
            secure=gate.is_secure(handler),
            samesite="Lax",
            max_age=_STATE_MINUTES * 60,
        )
        await self.lead(gate.connection.authorize_url(nonce))


class LoginExchange(_HubExchange):
    """Sends a browser to sign in."""

    async def answer(self) -> None:
        """Send it there."""
        await self.lead_to_hub()


class CallbackExchange(_HubExchange):
    """Takes a browser that comes back from the Hub."""

    async def answer(self) -> None:
        """Give it a session, and send it to the page."""
        gate, handler = self.gate, self.handler
        state, code = handler.get_query_argument("state", ""), handler.get_query_argument("code", "")
        name = f"{_STATE}-{state[:_TAG_CHARS]}"
        sent = gate.unsigned(_STATE, handler.get_cookie(name) or "", _STATE_MINUTES / 1440)
        if not state or not hmac.compare_digest(sent.encode(), state.encode(errors="replace")):
            raise PermissionDenied(
                f"This sign-in did not begin in this browser, or took too long: open {gate.connection.prefix}/ and sign in again.",
                field="state",
            )
        handler.clear_cookie(name, path=gate.connection.callback_path)
        if not code:
            raise Unauthenticated(f"JupyterHub did not let you in: open {gate.connection.prefix}/ to try again.", field="code")
        gate.begin_session(handler, await gate.client.token_for(code))
        await self.lead(f"{gate.connection.prefix}/")


class HubIndexExchange(_HubExchange):
    """Serves the page to whom the Hub knows, and sends others to sign in."""

    async def answer(self) -> None:
        """Send it."""
        gate, handler = self.gate, self.handler
        token = gate.session(handler)
        try:
            if not token:
                raise Unauthenticated("Nobody is signed in.")
            await gate.client.user(token)
        except Unauthenticated:
            await self.lead_to_hub()
            return
        except ModelBoxError:
            pass  # the page says itself what is wrong, and asks again
        await IndexExchange(handler).answer()


def sign_in_pages(gate: HubGate) -> Mapping[str, Callable[[ExchangeHandler], Exchange]]:
    """Return what is open to everybody beside health and the files of the page, by path."""
    return {
        "/": lambda handler: HubIndexExchange(handler, gate),
        "/login": lambda handler: LoginExchange(handler, gate),
        "/oauth_callback": lambda handler: CallbackExchange(handler, gate),
    }
