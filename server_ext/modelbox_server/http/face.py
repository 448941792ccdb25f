"""What all handlers of one server share: the services behind them, the gate before them, and the threads that do the work."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from modelbox.errors import ModelBoxError, StorageUnavailable
from modelbox_server.observing.meters import Meters

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelbox_server.http.auth import Gate
    from modelbox_server.service.context import Caller
    from modelbox_server.service.people import Person
    from modelbox_server.wiring import Services

__all__ = ["Face", "ServiceHolder"]

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_WORKERS = 4
"""Threads that carry out requests. More of them would not make SQLite faster, and each that computes in Python holds up the event loop's
turn at the interpreter lock by some milliseconds."""

_INGEST_WORKERS = 2
"""Threads that take batches of points: while one writes, the other decodes the next."""

_READY_MEMORY_S = 1.0


class ServiceHolder:
    """Opens the services on first use, in whichever worker thread comes first; the others wait for it there.

    An attempt that fails is repeated by the next request, so that a server which started before its database gets well by itself.

    Parameters
    ----------
    open_services
        Makes the services; may import and connect as slowly as it needs to.
    """

    def __init__(self, open_services: Callable[[], Services]) -> None:
        self._open = open_services
        self._services: Services | None = None
        self._closed = False
        self._lock = threading.Lock()

    def get(self) -> Services:
        """Return the open services. Call it from a worker thread only."""
        if self._services is None:
            with self._lock:
                if self._closed:
                    raise _stops()
                if self._services is None:
                    self._services = self._open()
        return self._services

    @property
    def opened(self) -> Services | None:
        """The services, when they are open already."""
        return self._services

    def close(self) -> None:
        """Close the services, when they were opened."""
        with self._lock:
            self._closed = True
            services, self._services = self._services, None
        if services is not None:
            services.close()


class _Workers:
    """Threads that work for the event loop."""

    def __init__(self, threads: int, name: str) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads = threads
        self._given = 0

    @property
    def waiting(self) -> int:
        """How many pieces of work no thread has begun."""
        return max(self._given - self._threads, 0)

    async def run(self, work: Callable[[], R]) -> R:
        """Do `work` in a thread, which sees the context variables of the caller: log lines tell the request that they belong to."""
        context = contextvars.copy_context()
        self._given += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, context.run, work)
        finally:
            self._given -= 1


class CheckableServices(Protocol):
    """What readiness needs of the services."""

    def check(self) -> None:
        """Return if requests can be served, raise the reason otherwise."""
        ...


class Face:
    """One server's services behind one gate.

    Parameters
    ----------
    open_services
        Makes the services, on first use and off the event loop.
    gate
        Decides who may do what.
    meters
        What counts and times the work; fresh ones when left out.
    """

    def __init__(self, open_services: Callable[[], Services], gate: Gate, meters: Meters | None = None) -> None:
        self.gate = gate
        self.meters = meters or Meters()
        self._holder = ServiceHolder(open_services)
        self._workers = _Workers(_WORKERS, "modelbox-http")
        self._ingest_workers = _Workers(_INGEST_WORKERS, "modelbox-ingest")
        self.meters.watch_queue("work", lambda: self._workers.waiting)
        self.meters.watch_queue("ingest", lambda: self._ingest_workers.waiting)
        self._checked_at_s = float("-inf")
        self._problem: ModelBoxError | None = None
        self._under_way: set[str] = set()
        self._idle = asyncio.Event()
        self._stopping: StorageUnavailable | None = None
        self._draining = False

    async def holder(self, digest: str, *, face: str, address: str) -> Caller:
        """Return whoever holds a token: see :class:`~modelbox_server.http.auth.Directory`."""
        return await self.run(lambda: self.services().people.caller_by_token(digest, face=face, address=address))

    async def person(self, person: Person, *, face: str, address: str) -> Caller:
        """Return a person with what they may do: see :class:`~modelbox_server.http.auth.Directory`."""
        return await self.run(lambda: self.services().people.caller(person, face=face, address=address))

    def services(self) -> Services:
        """Return the services; only from within :meth:`run`."""
        return self._holder.get()

    @property
    def direct_from_bytes(self) -> int | None:
        """From which size on clients should ask for a ticket to transfer bytes; ``None`` when never, or nobody knows yet."""
        services = self._holder.opened
        return None if services is None else services.transfers.direct_from_bytes

    async def ingest(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do as :meth:`run`, in threads that only ingest uses: a store takes one batch at a time, and readers must not queue behind it."""
        return await self._ingest_workers.run(lambda: function(*args, **kwargs))

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` in a worker thread and return what it returns."""
        return await self._workers.run(lambda: function(*args, **kwargs))

    def warm_up(self, *, settle: bool = False) -> None:
        """Start to open the services without waiting for them; a failure shows in the first request that needs them.

        In a process that settles, the log tells at once whether they can work.

        Parameters
        ----------
        settle
            Take what is loaded by then out of garbage collection, in a process that will serve from now on. A full collection walks over
            all objects with the interpreter lock held: some 170 ms in a Jupyter server, set off every now and then by requests like ours.
            Once modules and services do not count among them any more, what is left to walk over takes a few.
        """
        if settle:
            self._workers.pool.submit(self._check).add_done_callback(lambda _: gc.freeze())
        else:
            self._workers.pool.submit(self._holder.get)

    async def problem(self) -> ModelBoxError | None:
        """Return why requests cannot be served now, or ``None``; kept for a second, as anybody may ask and asking costs a write."""
        if self._stopping is not None:
            return self._stopping
        if time.monotonic() - self._checked_at_s > _READY_MEMORY_S:
            await self.run(self._check)
            self._checked_at_s = time.monotonic()
        return self._problem

    def _check(self) -> None:
        problem: ModelBoxError | None = None
        try:
            services: CheckableServices = self.services()
            services.check()
        except ModelBoxError as error:
            problem = error
        before, self._problem = self._problem, problem
        if problem is not None and (before is None or before.detail != problem.detail):
            log.warning("Not ready: %s", problem.detail)
        elif problem is None and before is not None:
            log.info("Ready again.")

    def check_open(self) -> None:
        """Return if new work is taken.

        Raises
        ------
        StorageUnavailable
            The server is about to stop.
        """
        if self._draining:
            raise _stops()

    def pace(self, caller: Caller) -> None:
        """Return if somebody may make another call now.

        Raises
        ------
        RateLimited
            They make too many.
        """
        services = self._holder.opened
        if services is None:  # whatever is limited, nobody has done anything yet
            return
        if services.fair_use.is_stale:
            self._workers.pool.submit(services.fair_use.refresh)
        services.fair_use.pace_request(caller)

    def begin(self, request_id: str) -> None:
        """Note that a request came in."""
        self._under_way.add(request_id)

    def end(self, request_id: str) -> None:
        """Note that a request was answered, or that its caller went away."""
        self._under_way.discard(request_id)
        if not self._under_way:
            self._idle.set()

    def announce_stop(self) -> None:
        """Tell whoever asks for readiness that the server is about to stop; it still takes new work."""
        self._stopping = _stops()

    async def drain(self, timeout_s: float) -> None:
        """Take no new work, and wait until no request is under way, but not longer than `timeout_s`."""
        self.announce_stop()
        self._draining = True
        self._idle.clear()
        if self._under_way:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), timeout_s)

    async def close(self) -> None:
        """Let requests that are under way end, then close the services."""
        loop = asyncio.get_running_loop()
        # The pool's own threads cannot wait for themselves to end.
        await loop.run_in_executor(None, self._ingest_workers.pool.shutdown)
        await loop.run_in_executor(None, self._workers.pool.shutdown)
        await loop.run_in_executor(None, self._holder.close)


def _stops() -> StorageUnavailable:
    return StorageUnavailable("The server is shutting down: try again when it is back.", retry_after_s=5)
