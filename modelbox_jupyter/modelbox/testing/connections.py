"""Connections for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelbox.client.companions import NOTHING, Wanted
from modelbox.client.connection import ModelBox
from modelbox.client.discovery import Where

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelbox.client.transport import Transport

__all__ = ["memory_connection"]


def memory_connection(*, strict: bool = False, wrap: Callable[[Transport], Transport] | None = None, wanted: Wanted = NOTHING) -> ModelBox:
    """Return a connection to a fresh store in memory, which is gone when the connection is closed.

    Parameters
    ----------
    strict
        As for :class:`modelbox.ModelBox`.
    wrap
        Put something between the connection and the store, such as a :class:`~modelbox.testing.FaultyTransport`.
    wanted
        What goes along with experiments: nothing unless asked, for what tests check should not depend on the machine.
    """
    # The server loads SQLAlchemy: only whoever asks for a store waits for that.
    from modelbox_server.embedded import EmbeddedTransport
    from modelbox_server.wiring import ephemeral_services

    services = ephemeral_services()
    transport: Transport = _Owning(EmbeddedTransport(services), services.close)
    return ModelBox.over(
        wrap(transport) if wrap else transport, Where("memory", "memory", "a test asked for it"), strict=strict, wanted=wanted
    )


class _Owning:
    """A transport that takes its store with it when it is closed."""

    def __init__(self, transport: Transport, close_store: Callable[[], None]) -> None:
        self._close_store = close_store
        self._transport = transport
        self.verifies = transport.verifies
        self.call = transport.call
        self.append_metrics = transport.append_metrics
        self.read_metrics = transport.read_metrics
        self.upload = transport.upload
        self.download = transport.download

    def close(self) -> None:
        """Close both."""
        self._transport.close()
        self._close_store()
