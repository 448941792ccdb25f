"""A Jupyter server extension for benchmarks: samples how late the event loop is, and tells when asked.

It sets a timer over and over; what the timer is late by is time during which the loop could not serve anybody. Lateness comes from
handlers that compute on the loop, from threads that hold the interpreter lock, and from a machine that has other things to do. The last is
told apart where Linux says how long the thread of the loop was ready and waited for a processor, and by the time that this process computed
meanwhile: lateness beyond either was not ours.
"""

import json
import os
import threading
import time

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from tornado import web
from tornado.ioloop import PeriodicCallback

INTERVAL_S = 0.002


class Probe:
    """Collects how late the loop was at every tick, in milliseconds: in all, and at most by our own doing."""

    def __init__(self) -> None:
        self.lags_ms: list[tuple[float, float]] = []
        self._timer = PeriodicCallback(self._tick, INTERVAL_S * 1000)

    def start(self) -> None:
        """Start to sample; on the loop."""
        self._schedstat = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        self._last = self._clocks_s()
        self._timer.start()

    def _clocks_s(self) -> tuple[float, float, float]:
        waited_ns = int(os.pread(self._schedstat, 100, 0).split()[1])
        return time.perf_counter(), time.process_time(), waited_ns / 1e9

    def _tick(self) -> None:
        now = self._clocks_s()
        wall_s, computed_s, waited_s = (new - old for new, old in zip(now, self._last, strict=True))
        self._last = now
        late_s = max(0.0, wall_s - INTERVAL_S)
        own_s = max(0.0, min(late_s - waited_s, computed_s))
        self.lags_ms.append((late_s * 1000, own_s * 1000))

    def take(self) -> list[tuple[float, float]]:
        """Return what was sampled since the last call."""
        taken, self.lags_ms = self.lags_ms, []
        return taken


class ProbeHandler(APIHandler):
    """Hands out the samples."""

    def initialize(self, probe: Probe) -> None:
        """Take the probe."""
        self.probe = probe

    @web.authenticated
    def get(self) -> None:
        """Send samples as JSON."""
        self.finish(json.dumps(self.probe.take()))


def _load_jupyter_server_extension(server: ServerApp) -> None:
    """Add the probe to the server."""
    probe = Probe()
    server.io_loop.add_callback(probe.start)
    server.web_app.add_handlers(".*$", [(server.base_url + "loop-probe", ProbeHandler, {"probe": probe})])


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "loop_probe"}]
