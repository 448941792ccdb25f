"""What every object of a connection shares: its transport, its sender, and where they lead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

import msgspec

from modelbox.client.notices import Notices
from modelbox.client.sender import Sender
from modelbox.wire.messages import MAX_PAGE

if TYPE_CHECKING:
    from modelbox.client.catchup import CatchUp
    from modelbox.client.discovery import Where
    from modelbox.client.transport import Transport
    from modelbox.wire.messages import Page
    from modelbox.wire.routes import Route

__all__ = ["Session"]

B = TypeVar("B")
R = TypeVar("R")
T = TypeVar("T")
Q = TypeVar("Q")

_READ_YOUR_WRITES_S = 5.0


class Session:
    """One connection, as its objects see it.

    Parameters
    ----------
    transport
        Carries the calls.
    where
        Which store this is, and why.
    strict
        Raise where a metric value cannot be stored, instead of one warning.
    sender
        Carries the points; made for `transport` when left out.
    catch_up
        Sends what earlier processes left, if anything does.
    """

    def __init__(
        self,
        transport: Transport,
        where: Where,
        *,
        strict: bool = False,
        sender: Sender | None = None,
        catch_up: CatchUp | None = None,
    ) -> None:
        self.transport = transport
        self.where = where
        self.strict = strict
        self.sender = sender or Sender(transport)
        self.catch_up = catch_up
        self.notices = Notices()

    def call(self, route: Route[Q, B, R], *, path: Mapping[str, str] | None = None, query: Q | None = None, body: B | None = None) -> R:
        """Carry out a route."""
        return self.transport.call(route, path=path, query=query, body=body)

    def every(
        self, route: Route[Q, None, Page[T]], query: Q, *, path: Mapping[str, str] | None = None, limit: int | None = None
    ) -> Iterator[T]:
        """Yield the items of all pages, at most `limit`."""
        left = limit
        while left is None or left > 0:
            size = MAX_PAGE if left is None else min(left, MAX_PAGE)
            query = msgspec.structs.replace(query, limit=size)  # type: ignore[type-var]  # every query of a list is a Struct
            page = self.call(route, path=path, query=query)
            yield from page.items
            if page.next_page_token is None:
                return
            left = None if left is None else left - len(page.items)
            query = msgspec.structs.replace(query, page_token=page.next_page_token)  # type: ignore[type-var]

    def settle(self) -> None:
        """Let what was logged arrive before something is read, so that a reader sees its own writes."""
        self.sender.flush(_READ_YOUR_WRITES_S)

    def close(self) -> None:
        """Send what is left and release the connection."""
        self.sender.close()
        if self.catch_up is not None:
            self.catch_up.close()
        self.transport.close()
