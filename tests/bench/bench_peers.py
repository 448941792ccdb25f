"""ModelBox beside its peers and the physical limits, in one run: ``python tests/bench/bench_peers.py [--tiny] [--save] [group ...]``.

Peers take part when ``make bench-peers`` has made their environments. Every row is measured the same way for all (:mod:`driving`), each
time in a new process over a new store, trackers taking turns, and the median counts. ``--tiny`` only proves that all of it works.
``--save`` writes ``results.json``, from which ``notebooks/bench.ipynb`` draws.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet import DriverFailed, DriverProcess, Server, ServerProcess, empty_folder, installed, python_of, size_bytes
from rows import Mark, Results, Samples

OURS, HTTP, DEAD, LIMITS = "modelbox", "modelbox http", "modelbox http, server killed", "limits"
POINTS_A_STEP = 10
KEYS = [f"metric {number}" for number in range(POINTS_A_STEP)]
SLOW = frozenset({"mlflow", "aim", "wandb", "mlflow http"})
WRITERS = 8


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    repeats: int = 3
    many_repeats: int = 7
    tight_steps: int = 2000
    paced_steps: int = 1000
    bulk_steps: int = 100_000
    writer_steps: int = 2000
    mlflow_writer_steps: int = 100
    runs: int = 1000
    many_runs: int = 10_000
    histories: int = 100
    history_steps: int = 1000
    artifact_mib: int = 256


TINY = Size(1, 1, 100, 50, 2000, 100, 10, 20, 40, 3, 20, 4)


class Programme:
    """Measures groups of rows."""

    def __init__(self, size: Size, peers: list[str], results: Results) -> None:
        self.size = size
        self.peers = peers
        self.results = results

    def trackers(self, *names: str) -> list[str]:
        """Return those of `names` that are installed, ours always."""
        return [name for name in names if name.startswith((OURS, LIMITS)) or name.partition(" ")[0] in self.peers]

    def in_turns(
        self,
        trackers: Iterable[str],
        measure: Callable[[str], Mapping[str, object]],
        *,
        repeats: int | None = None,
        seldom: frozenset[str] = SLOW,
    ) -> Samples:
        """Measure one tracker after the other, and all of it again, `seldom` ones once; whoever fails is left out from then on."""
        samples = Samples()
        left = list(trackers)
        for turn in range(repeats or self.size.repeats):
            for tracker in list(left):
                if turn and tracker in seldom:
                    continue
                try:
                    samples.add(tracker, measure(tracker))
                except DriverFailed as error:
                    print(f"left out: {error}", file=sys.stderr, flush=True)
                    left.remove(tracker)
        return samples

    # --- what the training loop sees -----------------------------------------------------------------------------------------------------

    def log(self) -> None:
        """Measure ``log()`` of ten scalars: flat out, with work between, with a server that was killed."""
        peers = ("trackio", "sacred", "trackio http", "tensorboard", "tensorboardx", "dvclive", "wandb", "aim", "mlflow")
        kept: dict[str, str] = {}

        def measure(pause_us: int, steps: int) -> Callable[[str], Mapping[str, object]]:
            def once(tracker: str) -> Mapping[str, object]:
                with opened(DEAD if tracker == DEAD else tracker, start=True) as run:
                    if tracker == DEAD:
                        run.server_process.kill()
                    calls = steps // 5 if tracker == "mlflow" else steps
                    figures: Mapping[str, object] = run.driver.ask("log", steps=calls, pause_us=pause_us)
                    kept[tracker] = str(figures["kept"])
                    return figures

            return once

        everyone = self.trackers(LIMITS, OURS, HTTP, DEAD, *peers)
        for name, pause_us, steps in (("tight loop", 0, self.size.tight_steps), ("2 ms of work between", 2000, self.size.paced_steps)):
            # Calls of microseconds depend on the processor that a process happens to get: many processes, of whoever may come first.
            seldom = frozenset(peers) - {"trackio", "sacred"}
            samples = self.in_turns(everyone, measure(pause_us, steps), repeats=self.size.many_repeats, seldom=seldom)
            where = f"waiting points are {kept.get(OURS, '?')}"
            for figure in ("p50", "p99"):
                figures = samples.medians(f"{figure}_us")
                dead = figures.pop(DEAD, None)
                alive = figures.get(HTTP)
                mark = Mark(ratio=1)
                self.results.row(f"log(10 scalars), {name}, {figure}", "us", figures, mark=mark, note=f"local store; {where}")
                self.results.row(f"log(10 scalars), {name}, {figure}, over HTTP", "us", figures, ours=HTTP, mark=mark, note=where)
                if dead is not None and alive is not None:
                    self.results.row(
                        f"log(10 scalars), {name}, {figure}, dead server",
                        "us",
                        {DEAD: dead, "(ours, server alive)": alive},
                        ours=DEAD,
                        mark=Mark(ratio=1 / 1.2, text="within 20 % of a live server"),
                    )

    def first(self) -> None:
        """Measure the way from the first import to the first logged metric."""

        def once(tracker: str) -> Mapping[str, object]:
            if tracker == LIMITS:
                begin_s = time.perf_counter()
                subprocess.run([sys.executable, "-c", "import json, sqlite3"], check=True)
                return {"seconds": time.perf_counter() - begin_s}
            with opened(tracker, open_it=False) as run:
                return run.driver.ask("first_metric", folder=str(run.folder), **run.where)

        peers = ("tensorboardx", "tensorboard", "trackio", "sacred", "dvclive", "wandb", "aim", "mlflow")
        samples = self.in_turns(self.trackers(LIMITS, OURS, HTTP, *peers), once)
        figures = samples.medians("seconds", 1000)
        limit = "limit: a whole Python that imports json and sqlite3"
        mark = Mark(ratio=0.5, text="under 2x tensorboardX")
        self.results.row("import to first logged metric", "ms", figures, mark=mark, note=f"local store; {limit}")
        self.results.row("import to first logged metric, over HTTP", "ms", figures, ours=HTTP, mark=mark, note=limit)

    # --- a million points ----------------------------------------------------------------------------------------------------------------

    def bulk(self) -> None:
        """Write a million points until they can be read; read them; look at memory and disk."""
        steps = self.size.bulk_steps

        def once(tracker: str) -> Mapping[str, object]:
            figures: dict[str, float] = {}
            if tracker == LIMITS:
                with opened(tracker, start=True) as run:
                    figures |= run.driver.ask("chunks", steps=steps)
                    figures["bytes_a_point"] = 8.0
                    figures |= self._read(run.driver, "run")
                return figures
            with opened(tracker, start=True) as run:
                figures |= run.driver.ask("bulk", steps=steps, run=run.id)
                run.driver.ask("close")
                figures["bytes_a_point"] = size_bytes(run.store) / (steps * POINTS_A_STEP)
                if run.server is not None:
                    figures["server_mib"] = run.server.peak_mib()
                if tracker not in {"tensorboard", "tensorboardx"}:
                    with DriverProcess(tracker.partition(" ")[0], run.folder) as reader:
                        reader.ask("open", folder=str(run.folder), **run.where)
                        figures |= self._read(reader, run.id, thinned=tracker == "trackio http")
            return figures

        samples = self.in_turns(
            self.trackers(LIMITS, OURS, HTTP, "trackio", "trackio http", "tensorboard", "sacred"),
            once,
            seldom=SLOW | {"sacred", "tensorboard"},
        )
        name = f"1 run x 10 metrics x {steps:,} steps"
        rate = samples.medians("points_per_s")
        local = {tracker: rate[tracker] for tracker in rate if not tracker.endswith(" http")}
        # The mark is set beside trackers that can be asked while they write: TensorBoard's file counts as read when it is closed.
        asked = {tracker: value for tracker, value in local.items() if tracker != "tensorboard"}
        over_http = {tracker: rate[tracker] for tracker in rate if tracker.endswith(" http") or tracker == LIMITS}
        self.results.row(f"{name} until queryable", "points/s", asked, lower=False, mark=Mark(ratio=9))
        self.results.row(f"{name} until queryable, over HTTP", "points/s", over_http, ours=HTTP, lower=False, mark=Mark(ratio=9))
        for what, title in (("one", f"{steps:,} points of one metric to a DataFrame"), ("all", "all ten metrics to a DataFrame")):
            figures = samples.medians(f"{what}_s", 1000)
            self.results.row(title, "ms", figures, mark=Mark(ratio=40))
            self.results.row(f"{title}, over HTTP", "ms", figures, ours=HTTP, mark=Mark(ratio=15))
        peak = samples.medians("peak_mib")
        mark = Mark(ratio=1, text="at or under TensorBoard")
        self.results.row("peak memory of a client that logs them, over HTTP", "MiB", peak, ours=HTTP, mark=mark)
        self.results.row("peak memory of client and local store in one process", "MiB", peak, mark=mark)
        self.results.row("bytes on disk per point", "bytes", samples.medians("bytes_a_point"), mark=mark)

    def _read(self, reader: DriverProcess, run: str, *, thinned: bool = False) -> dict[str, float]:
        points = self.size.bulk_steps
        if thinned:  # Trackio's server never gives more than 10,000 steps of all metrics at once
            return {"one_s": reader.ask("read", run=run, keys=KEYS[3:4], points=points, times=1)["seconds"]}
        one = reader.ask("read", run=run, keys=KEYS[3:4], points=points, times=5)
        all_ten = reader.ask("read", run=run, keys=KEYS, points=points * POINTS_A_STEP, times=3)
        return {"one_s": one["seconds"], "one_first_s": one["first_s"], "all_s": all_ten["seconds"]}

    def writers(self) -> None:
        """Let eight processes log at once over HTTP, and wait until all can be read."""

        def once(tracker: str) -> Mapping[str, object]:
            peer = tracker.partition(" ")[0]
            steps = self.size.mlflow_writer_steps if peer == "mlflow" else self.size.writer_steps
            with opened(tracker) as run, ExitStack() as stack:
                writers = [stack.enter_context(DriverProcess(peer, run.folder)) for _ in range(WRITERS)]
                for writer in writers:
                    writer.ask("open", folder=str(run.folder), **run.where)
                ids = [str(writer.ask("start", name=f"writer {number}")["run"]) for number, writer in enumerate(writers)]
                begin_s = time.perf_counter()
                for writer in writers:
                    writer.send("log", steps=steps)
                answers = [writer.answer() for writer in writers]
                logged_s = time.perf_counter() - begin_s
                for writer in writers:
                    writer.send("finish")
                for writer in writers:
                    writer.answer()
                calls = int(answers[0]["calls"])
                for id_ in ids:
                    while run.driver.ask("last_step", run=id_)["step"] < calls - 1:
                        if time.perf_counter() - begin_s > 120:
                            raise DriverFailed(f"{tracker}: points of {id_} are missing")
                        time.sleep(0.01)
                total_s = time.perf_counter() - begin_s
                return {
                    "points_per_s": WRITERS * calls * POINTS_A_STEP / total_s,
                    "p99_us": max(answer["p99_us"] for answer in answers),
                    "errors": sum(answer["errors"] for answer in answers),
                    "log_s": logged_s,
                }

        samples = self.in_turns(self.trackers(HTTP, "trackio http", "mlflow http"), once)
        errors = samples.medians("errors").get(HTTP, 0)
        rate = samples.medians("points_per_s")
        note = f"{errors:g} errors"
        if "trackio http" in rate and HTTP in rate:
            note += f"; {rate[HTTP] / rate['trackio http']:.1f}x Trackio's server"
        mlflow = {tracker: value for tracker, value in rate.items() if tracker != "trackio http"}
        name = f"{WRITERS} processes at once over HTTP"
        self.results.row(f"{name}, until readable", "points/s", mlflow, ours=HTTP, lower=False, mark=Mark(ratio=200), note=note)
        self.results.row(f"{name}, beside Trackio", "points/s", rate, ours=HTTP, lower=False, note=note)
        self.results.row(f"{name}, p99 of a call", "us", samples.medians("p99_us"), ours=HTTP)

    # --- tables and files ----------------------------------------------------------------------------------------------------------------

    def tables(self) -> None:
        """Read a table of many runs with 20 parameters and 20 metrics, and search it."""
        count, many = self.size.runs, self.size.many_runs
        with ExitStack() as stack:
            stores: dict[str, Run] = {}
            for tracker in self.trackers(LIMITS, OURS, "trackio", "sacred", "mlflow"):
                try:
                    stores[tracker] = stack.enter_context(opened(tracker))
                    stores[tracker].driver.ask("make_runs", count=count)
                    stores[tracker].driver.ask("close")
                except DriverFailed as error:
                    print(f"left out: {error}", file=sys.stderr, flush=True)
                    stores.pop(tracker, None)
            served = stack.enter_context(served_again(stores[OURS]))
            large = stack.enter_context(opened(OURS))
            large.driver.ask("make_runs", count=many)
            large.driver.ask("close")

            def once(tracker: str) -> Mapping[str, object]:
                of = large if tracker == "modelbox, many" else stores[OURS if tracker == HTTP else tracker]
                where = served.where if tracker == HTTP else {}
                with DriverProcess(tracker.partition(",")[0].partition(" ")[0], of.folder) as reader:
                    reader.ask("open", folder=str(of.folder), **where)
                    rows = many if of is large else count
                    table = reader.ask("table", rows=rows, times=5)
                    return {"table_s": table["seconds"], "search_s": reader.ask("search", times=9)["seconds"]}

            samples = self.in_turns([*stores, HTTP, "modelbox, many"], once)
        table, search = samples.medians("table_s", 1000), samples.medians("search_s", 1000)
        largest = {OURS: table.pop("modelbox, many")} if "modelbox, many" in table else {}
        largest_search = {OURS: search.pop("modelbox, many")} if "modelbox, many" in search else {}
        name = "runs x (20 params + 20 metrics) to a DataFrame"
        mlflow = {tracker: figure for tracker, figure in table.items() if tracker in {OURS, "mlflow"}}
        self.results.row(f"{count:,} {name}, beside MLflow", "ms", mlflow, mark=Mark(ratio=50))
        self.results.row(f"{count:,} {name}", "ms", table, mark=Mark(ratio=1))
        self.results.row(f"{count:,} {name}, over HTTP", "ms", table, ours=HTTP, mark=Mark(ratio=0.5, text="within 2x the best local peer"))
        self.results.row(f"{many:,} {name}", "ms", largest, mark=Mark(absolute=300, text="300 ms"))
        self.results.row(f"search among {count:,} runs", "ms", search, mark=Mark(ratio=1))
        self.results.row(f"search among {count:,} runs, over HTTP", "ms", search, ours=HTTP, mark=Mark(absolute=20, text="20 ms"))
        self.results.row(f"search among {many:,} runs", "ms", largest_search)

    def histories(self) -> None:
        """Read every point of five metrics of many runs at once."""
        count, steps, keys = self.size.histories, self.size.history_steps, KEYS[:5]
        points = count * steps * len(keys)

        def once(tracker: str) -> Mapping[str, object]:
            with opened(tracker) as run:
                runs = run.driver.ask("make_histories", count=count, keys=keys, steps=steps)["runs"]
                run.driver.ask("close")
                with DriverProcess(tracker.partition(" ")[0], run.folder) as reader:
                    reader.ask("open", folder=str(run.folder), **run.where)
                    return {"seconds": reader.ask("histories", runs=runs, keys=keys, points=points, times=3)["seconds"]}

        samples = self.in_turns(self.trackers(OURS, HTTP, "trackio", "sacred"), once, repeats=1)
        figures = samples.medians("seconds", 1000)
        name = f"every point of {count} runs x {len(keys)} metrics x {steps:,} steps"
        self.results.row(name, "ms", figures, mark=Mark(ratio=20), note="one call; peers have a loop")
        self.results.row(f"{name}, over HTTP", "ms", figures, ours=HTTP, note="one call; peers have a loop, on their local stores")

    def files(self) -> None:
        """Upload a large file and download it again."""
        with empty_folder() as folder:
            path = folder / "weights.bin"
            with path.open("wb") as file, Path("/dev/urandom").open("rb") as dice:
                for _ in range(self.size.artifact_mib):
                    file.write(dice.read(1 << 20))

            def once(tracker: str) -> Mapping[str, object]:
                with opened(tracker, start=True) as run:
                    figures = run.driver.ask("artifact", path=str(path), folder=str(run.folder / "got"))
                    return figures | ({"server_mib": run.server.peak_mib()} if run.server is not None else {})

            samples = self.in_turns(self.trackers(LIMITS, OURS, HTTP, "trackio http", "mlflow http"), once)
        memory = samples.medians("peak_mib").get(HTTP, 0), samples.medians("server_mib").get(HTTP, 0)
        note = f"peak memory: client {memory[0]:.0f} MiB, server {memory[1]:.0f} MiB; limit: read, SHA-256, write"
        for figure, title in (("up", "up"), ("down", "down")):
            rates = samples.medians(f"{figure}_mib_per_s")
            mark = Mark(ratio=0.9, text="on a par with Trackio's server, SHA-256 checked")
            name = f"{self.size.artifact_mib} MiB artifact {title} over HTTP"
            self.results.row(name, "MiB/s", rates, ours=HTTP, lower=False, mark=mark, note=note)


@dataclass(slots=True)
class Run:
    """A driver over a new store, and the server that it talks to if it does."""

    driver: DriverProcess
    folder: Path
    store: Path
    server_process: ServerProcess
    server: Server | None
    id: str = ""

    @property
    def where(self) -> dict[str, str]:
        """What other drivers need to know."""
        return {} if self.server is None else self.server.where


@contextmanager
def opened(tracker: str, *, start: bool = False, open_it: bool = True) -> Iterator[Run]:
    """Yield a driver that has opened its store, and with `start` a run; over a server of its own where the name says ``http``."""
    peer, _, over_http = tracker.partition(" ")
    with ExitStack() as stack:
        folder = stack.enter_context(empty_folder())
        process: ServerProcess | None = None
        if over_http:
            process = stack.enter_context(ServerProcess(peer, folder / "server"))
        driver = stack.enter_context(DriverProcess(peer, folder))
        client = folder / "client"
        client.mkdir()
        run = Run(driver, client, folder / "server" if process else client, process, process.server if process else None)  # type: ignore[arg-type]
        if open_it:
            driver.ask("open", folder=str(client), **run.where)
        if start:
            run.id = str(driver.ask("start", name="run")["run"])
        yield run


@contextmanager
def served_again(run: Run) -> Iterator[Server]:
    """Serve a local store of ours over HTTP."""
    folder = run.folder.parent / "server"
    folder.mkdir()
    (folder / "store").symlink_to(run.store)
    with ServerProcess(OURS, folder) as process:
        yield process.server


def versions(peers: Iterable[str]) -> dict[str, str]:
    """Return the version of each tracker that takes part."""
    found = {}
    for peer in peers:
        code = f"from importlib.metadata import version; print(version({peer!r}))"
        found[peer] = subprocess.run([python_of(peer), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    return found


GROUPS = ("bulk", "writers", "files", "tables", "histories", "first", "log")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"which rows: {', '.join(GROUPS)}; all when left out")
    parser.add_argument("--tiny", action="store_true", help="prove that it works, measure nothing")
    parser.add_argument("--save", action="store_true", help="write results.json")
    parser.add_argument("--peers", help="comma-separated; those that are installed when left out")
    options = parser.parse_args()
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(f"there is no group {', '.join(sorted(unknown))}: take some of {', '.join(GROUPS)}")
    peers = installed() if options.peers is None else [peer for peer in options.peers.split(",") if peer in installed()]
    found = versions(peers)
    print(json.dumps({"bench": "peers", "versions": found}), flush=True)
    results = Results(keep=options.save and not options.tiny)
    programme = Programme(TINY if options.tiny else Size(), peers, results)
    for group in options.groups or GROUPS:
        getattr(programme, group)()
        results.save(found)


if __name__ == "__main__":
    main()
