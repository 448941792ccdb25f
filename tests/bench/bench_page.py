"""Print what the web page takes with 10,000 experiments of 40 columns, in Chromium against a standalone server in this process.

Run it as ``python tests/bench/bench_page.py``. `first_s` is from the address to the first rows, `all_s` until every row is there.
"""

import gzip
import re
import time
from array import array
from urllib.parse import quote

from modelbox.entities.series import SeriesBlock
from modelbox.wire.messages import ExperimentCreate
from modelbox_server.http.page import page_files
from modelbox_server.service.context import Caller
from modelbox_server.testing.bench import print_row
from modelbox_server.testing.browser import running_chromium
from modelbox_server.testing.live_server import live_server
from modelbox_server.wiring import Services, ephemeral_services

_RUNS = 10_000
_COLUMNS = 20
_ROUNDS = 3
_CALLER = Caller("bench", "embedded")
_IS_COMPLETE = f"() => document.querySelector('.mb-count')?.textContent === '{_RUNS:,} experiments'"


def main() -> None:
    """Measure sizes, then a browser."""
    index = (page_files() / "index.html").read_text()
    first = {name: _packed_bytes(name) for name in re.findall(r'assets/([^"]+)', index)}
    later = [path.name for path in (page_files() / "assets").iterdir() if path.name not in first]
    print_row("web page, gzip", first_kb=sum(first.values()) / 1e3, with_charts_kb=sum(map(_packed_bytes, later)) / 1e3)
    services = _filled()
    with live_server(lambda: services) as server, running_chromium() as browser:
        first_s, all_s, heap_mb = [], [], []
        for _ in range(_ROUNDS):
            page = browser.new_page()
            started_s = time.perf_counter()
            page.goto(f"{server.url}/#token={quote(server.token, safe='')}")
            page.locator(".mbw-body .mbw-row").first.wait_for()
            first_s.append(time.perf_counter() - started_s)
            page.wait_for_function(_IS_COMPLETE, timeout=120_000)
            all_s.append(time.perf_counter() - started_s)
            heap_mb.append(page.evaluate("performance.memory.usedJSHeapSize") / 1e6)
            page.close()
        print_row("web page of 10,000 x 40", first_s=min(first_s), all_s=min(all_s), heap_mb=min(heap_mb))


def _packed_bytes(name: str) -> int:
    return len(gzip.compress((page_files() / "assets" / name).read_bytes(), 9))


def _filled() -> Services:
    services = ephemeral_services()
    for i in range(_RUNS):
        metadata = {f"params.p{k}": (i * k) % 97 / 10 if k % 2 else f"v{i % (k + 2)}" for k in range(_COLUMNS)}
        services.experiments.create(_CALLER, ExperimentCreate(name=f"run-{i}", id=f"{i:040x}", metadata=metadata))
    for start in range(0, _RUNS, 500):
        services.metrics.append(_CALLER, [_block(i, key) for i in range(start, start + 500) for key in range(_COLUMNS)])
    return services


def _block(run: int, key: int) -> SeriesBlock:
    axis = array("q", (0, 1))
    return SeriesBlock(object_id=f"{run:040x}", key=f"m{key}/loss", steps=axis, wall_times_us=axis, values=array("d", (1.0, run + key)))


if __name__ == "__main__":
    main()
