"""How long one ``log()`` of ten numbers takes the training loop; prints one JSON line per durability, and one for the limit.

Run it alone: ``python tests/bench/bench_client_log.py``. ``paced`` logs every millisecond, as a fast training loop does; ``flat out`` does
nothing but log, so that the sender thread competes for the interpreter all the time. The limit is a bare ``os.write`` of as many bytes to a
file that is only appended to, under the same two paces. ``rss_mib`` is what the process takes after a million points.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

from modelbox.client.connection import ModelBox
from modelbox.client.spool import Durability

CALLS = 20_000
NAMES = [f"metric {i}" for i in range(10)]


FRAME_BYTES = 8 + 24 + 8 * len(NAMES)
MILLION = 1_000_000


def _measure(call: Callable[[], object], calls: int, pause_s: float) -> dict[str, float]:
    took_ns = []
    for _ in range(calls):
        begin = time.perf_counter_ns()
        call()
        took_ns.append(time.perf_counter_ns() - begin)
        if pause_s:
            time.sleep(pause_s)
    cuts = quantiles(took_ns, n=1000)
    return {"p50_us": round(cuts[499] / 1000, 2), "p99_us": round(cuts[989] / 1000, 2), "max_us": round(max(took_ns) / 1000, 1)}


def _both_paces(call: Callable[[], object], calls: int = CALLS) -> dict[str, dict[str, float]]:
    _measure(call, 100, 0)
    return {"paced": _measure(call, calls // 10, 0.001), "flat out": _measure(call, calls, 0)}


def _log(durability: Durability, folder: Path, calls: int = CALLS) -> dict[str, dict[str, float]]:
    with ModelBox(folder, durability=durability) as box, box.start("bench") as run:
        values = dict.fromkeys(NAMES, 0.5)
        return _both_paces(lambda: run.log(values), calls)


def _append_limit(folder: Path) -> dict[str, dict[str, float]]:
    fd = os.open(folder / "limit", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        frame = bytes(FRAME_BYTES)
        return _both_paces(lambda: os.write(fd, frame))
    finally:
        os.close(fd)


def _rss_mib_after_a_million_points(folder: Path) -> None:
    """Print the peak memory of a process that logged them to the local store, whose services it holds as well."""
    with ModelBox(folder) as box:
        run = box.start("bench")
        for step in range(MILLION // len(NAMES)):
            run.log(dict.fromkeys(NAMES, step / 7), step=step)
        box.flush()
        print(json.dumps({"bench": "client rss after 1M points", "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MODELBOX_STATE_DIR"] = str(folder / "state")
        rows: list[tuple[Durability, int]] = [("memory", CALLS), ("process", CALLS), ("disk", CALLS // 10)]
        for durability, calls in rows:
            print(json.dumps({"bench": f"client log(10 numbers), {durability}", **_log(durability, folder / "store", calls)}))
        print(json.dumps({"bench": "limit: bare append", **_append_limit(folder)}))
        sys.stdout.flush()
        subprocess.run([sys.executable, __file__, "rss", folder / "store"], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["rss"]:
        _rss_mib_after_a_million_points(Path(sys.argv[2]))
    else:
        main()
