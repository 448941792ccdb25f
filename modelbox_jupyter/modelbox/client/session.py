"""What every object of a connection shares: its transport, its sender, and where they lead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from modelbox.client.notices import Notices
from modelbox.client.sender import Sender
from modelbox.wire.messages import MAX_PAGE

if TYPE_CHECKING:
    from modelbox.client.catchup import CatchUp
    from modelbox.client.discovery import Where
    from modelbox.client.operations import Operation
    from modelbox.client.transport import Transport
    from modelbox.wire.messages import Page
    from modelbox.wire.routes import Route

__all__ = ["Session"]

B = TypeVar("B")
R = TypeVar("R")
T = TypeVar("T")
Q = TypeVar("Q")

_READ_YOUR_WRITES_S = 5.0
_INTRODUCTION_S = 2.0


class Session:
    """One connection, as its objects see it.

    Parameters
    ----------
    transport
        Carries the calls.
    where
        Which store this is, and why.
    strict
        Raise what the store says, instead of one warning; see :class:`modelbox.ModelBox`.
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
        """Carry out a route now, and return its answer."""
        if self.catch_up is not None:
            self.catch_up.settle(_INTRODUCTION_S)
        if self.sender.owes_operations:
            self.settle()
        return self.transport.call(route, path=path, query=query, body=body)

    def submit(self, operation: Operation, answered: Callable[[Any], None] = lambda answer: None) -> None:
        """Have an operation carried out in the background, after all that was logged before; on strict connections now.

        Parameters
        ----------
        operation
            What is to be done.
        answered
            Called with the answer, perhaps by another thread; never when the store refuses, or knows the operation already.
        """
        if not self.strict or self.is_offline:
            self.sender.submit(operation, answered)
            return
        self.settle()
        answered(operation.carry_out(self.transport))

    @property
    def is_offline(self) -> bool:
        """Whether nothing is sent from here."""
        return self.where.kind == "offline"

    def introduce(self) -> None:
        """Let the store know of what was created here, before somebody else is told of it; a store that is away is not waited for."""
        if self.sender.owes_operations and not self.sender.is_away:
            self.sender.flush(_INTRODUCTION_S, patient=False)

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
        if self.catch_up is not None:
            self.catch_up.settle(_INTRODUCTION_S)
        self.sender.flush(_READ_YOUR_WRITES_S, patient=False)

    def close(self) -> None:
        """Send what is left and release the connection."""
        self.sender.close()
        if self.catch_up is not None:
            self.catch_up.close()
        self.transport.close()
