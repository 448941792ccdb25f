"""The Prometheus families of a server, in a registry of its own: several servers may live in one process.

Labels come from closed sets (routes, RPCs, error codes, names of stores), never from what callers wrote: a name of somebody's experiment
on a page that is open to whoever scrapes would be a leak, and a series per name would fill the memory of both sides.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily

from modelbox.errors import StorageError, StorageUnavailable
from modelbox_server.service.info import program_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.metrics import MetricWrapperBase
    from prometheus_client.metrics_core import Metric

__all__ = ["GrpcCall", "HasPool", "Meters", "PoolStatus"]

F = TypeVar("F", bound="MetricWrapperBase")

PoolStatus: TypeAlias = "Mapping[str, int]"
"""Connections of a pool by state: ``size``, ``in_use``, ``waiting``, whichever a store knows."""

_CALL_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STORAGE_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_LAG_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class HasPool(Protocol):
    """A store that keeps a pool of connections."""

    def pool_status(self) -> PoolStatus:
        """Return how many connections are in which state; without waiting."""
        ...


class Meters:
    """Counts and times what a server does. Safe to use from several threads.

    Parameters
    ----------
    process
        Whether the page tells of the process too; in a Jupyter server its own page does.
    """

    def __init__(self, *, process: bool = True) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        if process:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
        build = Gauge("modelbox_build_info", "Always 1; the label tells the version.", ["version"], registry=registry)
        build.labels(program_version()).set(1)
        self._http = Histogram(
            "modelbox_http_request_duration_seconds",
            "Time from the headers of a request to the end of its answer, by route and by what came of it (ok, or the code of the error).",
            ["route", "outcome"],
            buckets=_CALL_BUCKETS_S,
            registry=registry,
        )
        self._received = Counter("modelbox_http_received_bytes", "Bytes of the bodies of requests.", ["route"], registry=registry)
        self._sent = Counter("modelbox_http_sent_bytes", "Bytes of the bodies of answers.", ["route"], registry=registry)
        self._in_flight = Gauge("modelbox_requests_in_flight", "Calls that are under way.", ["face"], registry=registry)
        self._points = Counter("modelbox_ingested_points", "Points of metrics that were stored.", registry=registry)
        self._storage = Histogram(
            "modelbox_storage_operation_duration_seconds",
            "Time that a store took; operations on metadata are whole transactions.",
            ["store", "backend", "operation", "outcome"],
            buckets=_STORAGE_BUCKETS_S,
            registry=registry,
        )
        self._refused = Counter("modelbox_limit_refusals", "Calls that a limit stopped, by the limit.", ["limit"], registry=registry)
        self._quota = Gauge(
            "modelbox_quota_used_ratio",
            "How much of its quota whoever added something last had, by the quota.",
            ["limit"],
            registry=registry,
        )
        self._lag = Histogram(
            "modelbox_change_event_lag_seconds",
            "Time from a change to its delivery to somebody who watches.",
            buckets=_LAG_BUCKETS_S,
            registry=registry,
        )
        # The names that the interceptors of gRPC have for Go, which the server of 2022 had as well, and dashboards know.
        method = ["grpc_type", "grpc_service", "grpc_method"]
        self._grpc_started = Counter("grpc_server_started", "RPCs that began.", method, registry=registry)
        self._grpc_handled = Counter("grpc_server_handled", "RPCs that ended, by status.", [*method, "grpc_code"], registry=registry)
        self._grpc_received = Counter("grpc_server_msg_received", "Messages that came in.", method, registry=registry)
        self._grpc_sent = Counter("grpc_server_msg_sent", "Messages that were sent.", method, registry=registry)
        self._grpc_seconds = Histogram(
            "grpc_server_handling_seconds",
            "Time from the beginning of an RPC to its end.",
            method,
            buckets=_CALL_BUCKETS_S,
            registry=registry,
        )
        self._children: dict[tuple[MetricWrapperBase, tuple[str, ...]], MetricWrapperBase] = {}
        self._pools: dict[tuple[str, str], HasPool] = {}
        self._queues: dict[str, Callable[[], int]] = {}
        registry.register(
            _OnDemand("modelbox_pool_connections", "Connections to a database, by state.", ("store", "backend", "state"), self._of_pools)
        )
        registry.register(_OnDemand("modelbox_queue_depth", "Pieces of work that wait for a thread.", ("queue",), self._of_queues))

    def page(self) -> bytes:
        """Return all families in the text format of Prometheus (version 0.0.4)."""
        return generate_latest(self.registry)

    # --- HTTP ----------------------------------------------------------------------------------------------------------------------------

    def request_began(self) -> None:
        """Count a request of HTTP that came in."""
        self._in_flight.labels("http").inc()

    def request_ended(self, route: str, outcome: str, duration_s: float, *, received_bytes: int, sent_bytes: int) -> None:
        """Count a request of HTTP that is over."""
        self._in_flight.labels("http").dec()
        self._http.labels(route, outcome).observe(duration_s)
        if received_bytes:
            self._received.labels(route).inc(received_bytes)
        if sent_bytes:
            self._sent.labels(route).inc(sent_bytes)

    # --- gRPC ----------------------------------------------------------------------------------------------------------------------------

    def grpc_call(self, kind: str, service: str, method: str) -> GrpcCall:
        """Count an RPC that begins; `kind` is ``unary``, ``client_stream`` or ``server_stream``."""
        labels = (kind, service, method)
        self._child(self._grpc_started, *labels).inc()
        self._child(self._in_flight, "grpc").inc()
        return GrpcCall(self, labels)

    def grpc_ended(self, labels: tuple[str, str, str], code: str, duration_s: float, *, received: int, sent: int) -> None:
        """Count an RPC that is over; :meth:`GrpcCall.ended` calls this."""
        self._child(self._in_flight, "grpc").dec()
        self._child(self._grpc_handled, *labels, code).inc()
        self._child(self._grpc_seconds, *labels).observe(duration_s)
        self._child(self._grpc_received, *labels).inc(received)
        self._child(self._grpc_sent, *labels).inc(sent)

    def _child(self, family: F, *labels: str) -> F:
        """Return the one of a family with these labels; looking it up there takes longer than counting."""
        found = self._children.get((family, labels))
        if found is None:
            found = self._children[family, labels] = family.labels(*labels)
        return cast("F", found)

    # --- what is done for them -----------------------------------------------------------------------------------------------------------

    def stored_points(self, count: int) -> None:
        """Count points that a store took."""
        self._points.inc(count)

    def delivered_change(self, lag_s: float) -> None:
        """Note how long a change took to whoever watches."""
        self._lag.observe(max(lag_s, 0.0))

    def refused_by_limit(self, limit: str) -> None:
        """Count a call that a limit stopped."""
        self._child(self._refused, limit).inc()

    def used_quota(self, limit: str, ratio: float) -> None:
        """Note how much of a quota somebody has used."""
        self._child(self._quota, limit).set(ratio)

    @contextmanager
    def storage(self, store: str, backend: str, operation: str) -> Iterator[None]:
        """Time an operation of a store; an error that is the caller's own fault is no failure of the store."""
        began_s = time.perf_counter()
        outcome = "ok"
        try:
            yield
        except (StorageError, StorageUnavailable) as error:
            outcome = error.code
            raise
        finally:
            self._storage.labels(store, backend, operation, outcome).observe(time.perf_counter() - began_s)

    def watch_pool(self, store: str, backend: str, pool: HasPool) -> None:
        """Show the pool of a store on the page."""
        self._pools[store, backend] = pool

    def watch_queue(self, name: str, depth: Callable[[], int]) -> None:
        """Show the depth of a queue on the page."""
        self._queues[name] = depth

    def _of_pools(self) -> Iterator[tuple[tuple[str, ...], float]]:
        for (store, backend), pool in self._pools.items():
            for state, count in pool.pool_status().items():
                yield (store, backend, state), count

    def _of_queues(self) -> Iterator[tuple[tuple[str, ...], float]]:
        for name, depth in self._queues.items():
            yield (name,), depth()


class GrpcCall:
    """One RPC from its beginning to its end."""

    def __init__(self, meters: Meters, labels: tuple[str, str, str]) -> None:
        self._meters = meters
        self._labels = labels
        self._began_s = time.perf_counter()
        self.received = 0
        """Messages that came in so far."""
        self.sent = 0
        """Messages that were sent so far."""

    def ended(self, code: str) -> None:
        """Count the end; `code` is the status as gRPC spells it in Go, such as ``NotFound``."""
        duration_s = time.perf_counter() - self._began_s
        self._meters.grpc_ended(self._labels, code, duration_s, received=self.received, sent=self.sent)


class _OnDemand:
    """A family whose values are asked for when somebody scrapes."""

    def __init__(
        self, name: str, text: str, labels: tuple[str, ...], values: Callable[[], Iterable[tuple[tuple[str, ...], float]]]
    ) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._values = values

    def _make(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._text, labels=self._labels)

    def describe(self) -> Iterable[Metric]:
        """Return the family without values."""
        return [self._make()]

    def collect(self) -> Iterable[Metric]:
        """Return the family with the values of now."""
        family = self._make()
        for labels, value in self._values():
            family.add_metric(labels, value)
        return [family]
