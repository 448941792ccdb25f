"""The workloads, in the same words for every tracker: a driver answers one line of JSON with one line of JSON.

A driver is a process in the virtual environment of its tracker: ``python tracker_driver.py`` makes a :class:`Driver` and calls
:func:`drive`. Only the standard library is used here, and the clock stands around the calls of the tracker alone, so that a row measures
all of them alike. What a tracker prints goes to standard error.

A request is ``{"do": "log", ...}`` with the arguments of a method of :class:`Workloads`; the answer is what that method returns, or
``{"error": "..."}``.
"""

import json
import math
import os
import random
import resource
import sys
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO

KEYS = [f"metric {number}" for number in range(10)]
PARAMS = 20
WARM_STEPS = 50
_PATIENCE_S = 60.0


class Driver:
    """One tracker. Methods that it does not override are rows that it takes no part in."""

    kept = "in memory"
    """Where a point is when ``log()`` has returned: ``in memory``, or ``on disk`` when it survives kill -9."""

    def open(self, folder: Path, address: str, token: str) -> None:
        """Import the tracker and open its store: `folder`, or the server at `address` where that is given."""
        raise NotImplementedError

    def start(self, name: str, params: dict[str, float | str]) -> str:
        """Start a run and return its id."""
        raise NotImplementedError

    def log(self, step: int, values: dict[str, float]) -> None:
        """Log one step."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until what :meth:`start` left to do in the background is done; nothing for trackers that do all of it at once."""

    def finish(self) -> None:
        """End the run, and wait until all of it was handed over."""
        raise NotImplementedError

    def close(self) -> None:
        """Leave the store as the end of a process does."""

    def last_step(self, run: str, key: str) -> int:
        """Return the last step that the tracker's own reader finds, -1 for none."""
        raise NotImplementedError

    def points(self, run: str, keys: Sequence[str]) -> int:
        """Read series into one DataFrame, as users do, and return how many points it holds."""
        raise NotImplementedError

    def histories(self, runs: Sequence[str], keys: Sequence[str]) -> int:
        """Read series of many runs into DataFrames and return how many points they hold: a loop, where a tracker has no call for it."""
        return sum(self.points(run, keys) for run in runs)

    def table(self) -> tuple[int, int]:
        """Read all runs with parameters and last metrics into a DataFrame and return its shape."""
        raise NotImplementedError

    def search(self) -> int:
        """Return how many runs have ``p1 < 0.5`` and a ``metric 0`` above 0.9, asked by the tracker's own means."""
        raise NotImplementedError

    def upload(self, path: Path) -> None:
        """Store a file with the run."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drop what the tracker keeps of an upload on the side of the client, so that the download that follows is one."""

    def download(self, folder: Path) -> Path:
        """Fetch that file again, and return where it is."""
        raise NotImplementedError


def curves(steps: int) -> "array[float]":
    """Return the values of all ten metrics, step after step: noisy, falling, and the same in every process."""
    dice = random.Random(0)  # noqa: S311
    noise = [dice.gauss(0, 0.02) for _ in range(997)]
    width = len(KEYS)
    return array("d", (math.exp(-step / 30_000) + noise[(step * width + key) % 997] for step in range(steps) for key in range(width)))


class Workloads:
    """What a driver is asked to do; every method returns its figures."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._step = 0

    def open(self, folder: str, address: str = "", token: str = "") -> dict[str, object]:
        """Open the store."""
        self._driver.open(Path(folder), address, token)
        return {}

    def start(self, name: str) -> dict[str, object]:
        """Start a run."""
        self._step = 0
        return {"run": self._driver.start(name, {})}

    def first_metric(self, folder: str, address: str = "", token: str = "") -> dict[str, object]:
        """Take the time from the first import to the first logged metrics."""
        values = dict.fromkeys(KEYS, 0.5)
        begin_s = time.perf_counter()
        self._driver.open(Path(folder), address, token)
        self._driver.start("first", {})
        self._driver.log(0, values)
        return {"seconds": time.perf_counter() - begin_s}

    def log(self, steps: int, pause_us: int = 0) -> dict[str, object]:
        """Log ten metrics a step and take the time of every call, with `pause_us` of work between calls."""
        rows = curves(steps + WARM_STEPS)
        width = len(KEYS)
        took_ns = array("q", bytes(8 * (steps + WARM_STEPS)))
        errors = 0
        clock, log = time.perf_counter_ns, self._driver.log
        cpu_s = time.process_time()
        for index in range(steps + WARM_STEPS):
            values = dict(zip(KEYS, rows[index * width : (index + 1) * width], strict=True))
            begin_ns = clock()
            try:
                log(self._step, values)
            except Exception:  # noqa: BLE001  # whatever a tracker raises is one error of its
                errors += 1
            took_ns[index] = clock() - begin_ns
            self._step += 1
            if pause_us:
                _work(pause_us)
        times = sorted(took_ns[WARM_STEPS:])
        return {
            "p50_us": times[len(times) // 2] / 1000,
            "p99_us": times[len(times) * 99 // 100] / 1000,
            "max_us": times[-1] / 1000,
            "cpu_us": (time.process_time() - cpu_s) / (steps + WARM_STEPS) * 1e6 - pause_us,
            "errors": errors,
            "calls": steps + WARM_STEPS,
            "kept": self._driver.kept,
        }

    def bulk(self, steps: int, run: str) -> dict[str, object]:
        """Log ten metrics a step, finish, and wait until the last one can be read."""
        rows = curves(steps)
        width = len(KEYS)
        log = self._driver.log
        self._driver.settle()
        begin_s = time.perf_counter()
        for step in range(steps):
            log(step, dict(zip(KEYS, rows[step * width : (step + 1) * width], strict=True)))
        logged_s = time.perf_counter()
        self._driver.finish()
        peak_mib = peak_rss_mib()
        while self._driver.last_step(run, KEYS[-1]) < steps - 1:
            if time.perf_counter() - logged_s > _PATIENCE_S:
                raise AssertionError(f"the last step never came: {self._driver.last_step(run, KEYS[-1])} of {steps - 1}")
            time.sleep(0.005)
        total_s = time.perf_counter() - begin_s
        return {"points_per_s": steps * width / total_s, "log_s": logged_s - begin_s, "total_s": total_s, "peak_mib": peak_mib}

    def finish(self) -> dict[str, object]:
        """End the run."""
        self._driver.finish()
        return {}

    def close(self) -> dict[str, object]:
        """Close the store."""
        self._driver.close()
        return {}

    def last_step(self, run: str, key: str = KEYS[-1]) -> dict[str, object]:
        """Tell how far the tracker's reader sees."""
        return {"step": self._driver.last_step(run, key)}

    def read(self, run: str, keys: list[str], points: int, times: int) -> dict[str, object]:
        """Read series into a DataFrame, `times` times after a first one that is not counted."""
        took_s = []
        for _ in range(times + 1):
            begin_s = time.perf_counter()
            found = self._driver.points(run, keys)
            took_s.append(time.perf_counter() - begin_s)
            if found != points:
                raise AssertionError(f"{found} of {points} points")
        return {"first_s": took_s[0], "seconds": _median(took_s[1:])}

    def make_runs(self, count: int) -> dict[str, object]:
        """Store `count` finished runs of 20 parameters and 20 metrics."""
        dice = random.Random(1)  # noqa: S311
        begin_s = time.perf_counter()
        for number in range(count):
            params: dict[str, float | str] = {f"p{i}": dice.random() if i % 2 else f"v{dice.randrange(9)}" for i in range(PARAMS)}
            self._driver.start(f"run {number}", params)
            self._driver.log(0, {f"metric {i}": dice.random() for i in range(PARAMS)})
            self._driver.finish()
        return {"seconds": time.perf_counter() - begin_s}

    def make_histories(self, count: int, keys: list[str], steps: int) -> dict[str, object]:
        """Store `count` finished runs that logged `steps` points of each key, and return their ids."""
        rows, width = curves(steps), len(KEYS)
        runs = []
        for number in range(count):
            runs.append(self._driver.start(f"run {number}", {}))
            for step in range(steps):
                self._driver.log(step, dict(zip(keys, rows[step * width : step * width + len(keys)], strict=True)))
            self._driver.finish()
        return {"runs": runs}

    def histories(self, runs: list[str], keys: list[str], points: int, times: int) -> dict[str, object]:
        """Read every point of those runs."""
        took_s = []
        for _ in range(times + 1):
            begin_s = time.perf_counter()
            found = self._driver.histories(runs, keys)
            took_s.append(time.perf_counter() - begin_s)
            if found != points:
                raise AssertionError(f"{found} of {points} points")
        return {"first_s": took_s[0], "seconds": _median(took_s[1:])}

    def table(self, rows: int, times: int) -> dict[str, object]:
        """Read all runs into a DataFrame."""
        took_s = []
        for _ in range(times + 1):
            begin_s = time.perf_counter()
            height, width = self._driver.table()
            took_s.append(time.perf_counter() - begin_s)
            if height != rows or width < 2 * PARAMS:
                raise AssertionError(f"a table of {height} x {width}")
        return {"first_s": took_s[0], "seconds": _median(took_s[1:])}

    def search(self, times: int) -> dict[str, object]:
        """Find some runs among all."""
        took_s = []
        found = 0
        for _ in range(times + 1):
            begin_s = time.perf_counter()
            found = self._driver.search()
            took_s.append(time.perf_counter() - begin_s)
        return {"seconds": _median(took_s[1:]), "found": found}

    def artifact(self, path: str, folder: str) -> dict[str, object]:
        """Upload a file and download it again."""
        mib = Path(path).stat().st_size / 2**20
        begin_s = time.perf_counter()
        self._driver.upload(Path(path))
        up_s = time.perf_counter() - begin_s
        self._driver.forget()
        begin_s = time.perf_counter()
        got = self._driver.download(Path(folder))
        down_s = time.perf_counter() - begin_s
        if got.stat().st_size != Path(path).stat().st_size:
            raise AssertionError(f"{got} has another size")
        return {"up_mib_per_s": mib / up_s, "down_mib_per_s": mib / down_s, "peak_mib": peak_rss_mib()}


def peak_rss_mib() -> float:
    """Return the most memory that this process had so far."""
    try:
        # ru_maxrss begins with that of the process which started this one; VmHWM does not.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def drive(workloads: Workloads) -> None:
    """Answer requests on standard input until it ends."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            request: dict[str, object] = json.loads(line)
            try:
                answer = getattr(workloads, str(request.pop("do")))(**request)
            except Exception as error:  # noqa: BLE001  # whatever a tracker raises is the answer
                answer = {"error": f"{type(error).__name__}: {error}"[:500]}
            _send(answers, answer)
        # What a tracker still wants to do at its end is no part of any row.
        sys.stderr.flush()
        os._exit(0)


def _send(answers: IO[str], answer: object) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _work(duration_us: int) -> None:
    """Compute for so long, as a training step does: a sleep would leave the processor to the tracker."""
    end_ns = time.perf_counter_ns() + duration_us * 1000
    while time.perf_counter_ns() < end_ns:
        math.sqrt(2.0)


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
