"""How long one ``log()`` of ten numbers takes the training loop; prints one JSON line.

Run it alone: ``python tests/bench/bench_client_log.py``. ``paced`` logs every millisecond, as a fast training loop does; ``flat out`` does
nothing but log, so that the sender thread competes for the interpreter all the time.
"""

import json
import tempfile
import time
from statistics import quantiles

from modelbox.client.connection import ModelBox

CALLS = 20_000
NAMES = [f"metric {i}" for i in range(10)]


def _measure(box: ModelBox, calls: int, pause_s: float) -> dict[str, float]:
    with box.start("bench") as run:
        values = dict.fromkeys(NAMES, 0.5)
        run.log(values)
        took_ns = []
        for _ in range(calls):
            begin = time.perf_counter_ns()
            run.log(values)
            took_ns.append(time.perf_counter_ns() - begin)
            if pause_s:
                time.sleep(pause_s)
    cuts = quantiles(took_ns, n=1000)
    return {"p50_us": round(cuts[499] / 1000, 2), "p99_us": round(cuts[989] / 1000, 2), "max_us": round(max(took_ns) / 1000, 1)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ModelBox(folder) as box:
        _measure(box, 100, 0)
        paced = _measure(box, CALLS // 10, 0.001)
        flat_out = _measure(box, CALLS, 0)
    print(json.dumps({"bench": "client log(10 numbers)", "paced": paced, "flat out": flat_out}))


if __name__ == "__main__":
    main()
