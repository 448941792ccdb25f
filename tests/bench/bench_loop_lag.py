"""How long Jupyter's event loop is held up while a million points come in: ``python tests/bench/bench_loop_lag.py``.

A real Jupyter server with the extension, in a process of its own on SQLite. Lag is what a timer of 2 ms on its loop is late by: `lag_*`
by the doing of this process, `with_machine_*` in all; on a busy machine both differ widely. Promise: no handler of ours holds the loop for
50 ms.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np

from modelbox.entities.series import SeriesBlock
from modelbox.wire.series import ARROW_STREAM, blocks_to_arrow
from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.jupyter_process import JupyterProcess, jupyter_process

POINTS = 1_000_000
HERE = Path(__file__).resolve().parent


def arrow_bodies(experiment: str, batch_points: int, keys: int) -> list[bytes]:
    """Return a million points as batches of some keys each."""
    dice = np.random.default_rng(0)
    steps = batch_points // keys
    bodies = []
    for start in range(0, POINTS // keys, steps):
        step = np.arange(start, start + steps)
        clock = 1_700_000_000_000_000 + step * 2000
        blocks = [
            SeriesBlock(object_id=experiment, key=f"val/loss @{key}", steps=step, wall_times_us=clock, values=dice.normal(size=steps))
            for key in range(keys)
        ]
        bodies.append(blocks_to_arrow(blocks))
    return bodies


def json_bodies(experiment: str, batch_points: int) -> list[bytes]:
    """Return a tenth of the points as JSON."""
    dice = np.random.default_rng(0)
    return [
        json.dumps(
            {
                "series": [
                    {
                        "object_id": experiment,
                        "key": "json",
                        "steps": list(range(start, start + batch_points)),
                        "wall_times_us": list(range(start, start + batch_points)),
                        "values": dice.normal(size=batch_points).tolist(),
                    }
                ]
            }
        ).encode()
        for start in range(0, POINTS // 10, batch_points)
    ]


class Bench:
    """Sends batches to one server and reads its probe."""

    def __init__(self, server: JupyterProcess) -> None:
        self.client = ApiClient(server.url, server.headers)
        self._probe = ApiClient(server.jupyter_url, server.headers)
        self._numbers = count()

    def lags_ms(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """Return the lags since the last call: two columns, all and our own."""
        return np.array(self._probe.request("GET", "/loop-probe").json).reshape(-1, 2)

    def send(self, body: bytes, media: str = ARROW_STREAM) -> None:
        """Send a batch."""
        path = f"/api/v1/metrics?client=bench&batch={next(self._numbers)}"
        answer = self.client.request("POST", path, body=body, headers={"Content-Type": media})
        if answer.status != 200:
            raise AssertionError(answer)

    def measure(self, name: str, points: int, work: Callable[[], None]) -> None:
        """Print one row."""
        self.lags_ms()
        start_s = time.perf_counter()
        work()
        took_s = time.perf_counter() - start_s
        all_ms, own_ms = self.lags_ms().T
        row = {
            "bench": "loop_lag",
            "case": name,
            "points": points,
            "points_per_s": round(points / took_s),
            "seconds": round(took_s, 2),
            "lag_max_ms": round(float(own_ms.max()), 1),
            "lag_p99_ms": round(float(np.percentile(own_ms, 99)), 1),
            "lag_over_50_ms": int((own_ms > 50).sum()),
            "with_machine_max_ms": round(float(all_ms.max()), 1),
            "with_machine_p99_ms": round(float(np.percentile(all_ms, 99)), 1),
        }
        print(json.dumps(row), flush=True)


@contextmanager
def readers(bench: Bench, experiment: str) -> Iterator[None]:
    """Do meanwhile what open notebooks do: follow the chart, list the runs."""
    stop = threading.Event()

    def follow() -> None:
        while not stop.wait(0.5):
            bench.client.api("POST", "/metrics/read", {"objects": [experiment], "max_points": 4000})
            bench.client.api("GET", "/frames/experiments")

    threads = [threading.Thread(target=follow) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


def main() -> None:
    """Measure all cases, or those that are named."""
    with (
        tempfile.TemporaryDirectory() as folder,
        jupyter_process(Path(folder), extensions=("modelbox_server", "loop_probe"), more_environment={"PYTHONPATH": str(HERE)}) as server,
    ):
        bench = Bench(server)
        bench.client.api("GET", "/info")
        bench.send(arrow_bodies(bench.client.create_experiment("warm"), 1000, 1)[0])

        def all_of(bodies: list[bytes], senders: int, media: str = ARROW_STREAM) -> Callable[[], None]:
            def work() -> None:
                with ThreadPoolExecutor(senders) as pool:
                    list(pool.map(lambda body: bench.send(body, media), bodies))

            return work

        def followed(name: str, work: Callable[[], None]) -> None:
            with readers(bench, name):
                work()

        new = bench.client.create_experiment
        mixed = new("with readers")
        whole = new("whole")
        cases: dict[str, tuple[int, Callable[[], None]]] = {
            "idle": (0, lambda: time.sleep(3)),
            "arrow, 100 x 10000, 1 sender": (POINTS, all_of(arrow_bodies(new("a"), 10_000, 10), 1)),
            "arrow, 1000 x 1000, 8 senders": (POINTS, all_of(arrow_bodies(new("b"), 1000, 10), 8)),
            "arrow, 100 x 10000, 4 senders, 2 readers": (
                POINTS,
                lambda: followed(mixed, all_of(arrow_bodies(mixed, 10_000, 10), 4)),
            ),
            "arrow, 1 x 1000000": (POINTS, all_of(arrow_bodies(whole, POINTS, 10), 1)),
            "json, 10 x 10000, 4 senders": (POINTS // 10, all_of(json_bodies(new("c"), 10_000), 4, "application/json")),
            "read 1000000 as arrow": (
                POINTS,
                lambda: bench.client.api("POST", "/metrics/read", {"objects": [whole]}, headers={"Accept": ARROW_STREAM}) and None,
            ),
            "read 1000000 as json": (POINTS, lambda: bench.client.api("POST", "/metrics/read", {"objects": [whole]}) and None),
        }
        for name, (points, work) in cases.items():
            if not sys.argv[1:] or any(word in name for word in sys.argv[1:]):
                bench.measure(name, points, work)


if __name__ == "__main__":
    main()
