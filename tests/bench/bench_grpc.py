"""The gRPC face beside the batched HTTP path: ``python tests/bench/bench_grpc.py [--profile]``.

It prints one JSON line per row. Upstream's Go server took 4,400 ``LogMetrics`` calls a second, kept in memory, from one thread of its
Python SDK; three times that is the mark. Here eight connections call as fast as they can, one call at a time each, from one process that
costs next to nothing (``lean_caller.py``); the server is a process of its own, in memory as upstream's, and on SQLite, where an answer
means that the point is on the disk. Rows say what a call costs the server and the caller in CPU:
on a busy machine that is what can be compared. Beside it: a call that goes through gRPC's own server and reads one experiment, gRPC's own
client, and the same points in batches over HTTP. With ``--profile`` the functions that the server spends its time in come behind the rows.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from modelbox_server.grpc.schema import message

CONNECTIONS = 8
SECONDS = 5.0
UPSTREAM_CALLS_PER_S = 4_400
LEAN_CALLER = Path(__file__).parent / "lean_caller.py"
CREDENTIAL = [("authorization", "Bearer bench")]

SERVER = """
import cProfile, pstats, sys
from functools import partial
from pathlib import Path
from modelbox_server.standalone import StandaloneServer, serve
from modelbox_server.wiring import ephemeral_services, local_services
kind, folder, profiled = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "profiled"
opened = ephemeral_services if kind == "memory" else partial(local_services, folder / "store")
server = StandaloneServer(opened, port=0, token="bench")
profile = cProfile.Profile()
if profiled:
    profile.enable()
serve(server, on_start=lambda server: print(server.port, flush=True))
if profiled:
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(20)
"""

GRPC_CALLER = """
import sys, time
import grpc
port, seconds, request = sys.argv[1], float(sys.argv[2]), bytes.fromhex(sys.argv[3])
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    call = channel.unary_unary("/modelbox.ModelStore/LogMetrics")
    token = [("authorization", "Bearer bench")]
    call(request, metadata=token)
    calls, begin_s, cpu_s = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < begin_s + seconds:
        call(request, metadata=token)
        calls += 1
    print(calls, time.perf_counter() - begin_s, time.process_time() - cpu_s)
"""

BATCHES = """
import sys, time
import modelbox
port, seconds = sys.argv[1], float(sys.argv[2])
with modelbox.ModelBox(f"127.0.0.1:{port}", token="bench", provenance=False, system_metrics=False) as box:
    run = box.start("batched")
    run.log(loss=0.0)
    run.flush()
    begin_s, points = time.perf_counter(), 0
    while time.perf_counter() < begin_s + seconds:
        run.log(loss=0.5, step=points)
        points += 1
    run.flush()
    print(points, time.perf_counter() - begin_s, flush=True)
"""


class Server:
    """A server in a process of its own."""

    def __init__(self, kind: str, folder: str, *, profiled: bool = False) -> None:
        words = [sys.executable, "-c", SERVER, kind, folder, "profiled" if profiled else ""]
        self.popen = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.popen.stdout is not None
        self.port = self.popen.stdout.readline().strip()
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            asked = message("CreateExperimentRequest")(name="bench").SerializeToString()
            answer = channel.unary_unary("/modelbox.ModelStore/CreateExperiment")(asked, metadata=CREDENTIAL)
        self.experiment = str(message("CreateExperimentResponse").FromString(answer).experiment_id)

    def cpu_s(self) -> float:
        fields = Path("/proc", str(self.popen.pid), "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def point(self, number: int) -> str:
        value = message("MetricsValue")(step=1, wallclock_time=5, f_val=0.5)
        request: bytes = message("LogMetricsRequest")(parent_id=self.experiment, key=f"loss {number}", value=value).SerializeToString()
        return request.hex()

    def question(self, _: int) -> str:
        request: bytes = message("GetExperimentRequest")(id=self.experiment).SerializeToString()
        return request.hex()


@contextmanager
def running(kind: str, *, profiled: bool = False) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(kind, folder, profiled=profiled)
        try:
            yield server
        finally:
            server.popen.terminate()
            print(server.popen.communicate()[0], end="", flush=True)


def row(name: str, **figures: object) -> None:
    print(json.dumps({"bench": "grpc", "row": name, **figures}), flush=True)


def unary(server: Server, name: str, method: str, request_of: Callable[[int], str]) -> float:
    """Print the row of a method that all connections call, and return calls a second."""
    requests = "".join(f"{request_of(number)}\n" for number in range(CONNECTIONS))
    words = [sys.executable, LEAN_CALLER, server.port, f"/modelbox.ModelStore/{method}", "bench", str(SECONDS), str(CONNECTIONS)]
    cpu_s = server.cpu_s()
    done = subprocess.run(words, input=requests, capture_output=True, text=True, check=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    rate = seen["calls"] / seen["seconds"]
    row(
        f"{name}, {CONNECTIONS} connections",
        calls_per_s=round(rate),
        p50_us=round(seen["p50_us"]),
        p99_us=round(seen["p99_us"]),
        times_upstream=round(rate / UPSTREAM_CALLS_PER_S, 2),
        server_cpu_us=round((server.cpu_s() - cpu_s) / seen["calls"] * 1e6),
        server_cores=round((server.cpu_s() - cpu_s) / seen["seconds"], 2),
        caller_cpu_us=round(seen["cpu_s"] / seen["calls"] * 1e6),
        caller_cores=round(seen["cpu_s"] / seen["seconds"], 2),
    )
    return float(rate)


def by_grpc(server: Server) -> None:
    """Print what gRPC's own client for Python reaches with one connection."""
    words = [sys.executable, "-c", GRPC_CALLER, server.port, str(SECONDS), server.point(0)]
    calls, seconds, cpu_s = map(float, subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
    row(
        "LogMetrics, in memory, one connection of gRPC's own client",
        calls_per_s=round(calls / seconds),
        times_upstream=round(calls / seconds / UPSTREAM_CALLS_PER_S, 2),
        caller_cpu_us=round(cpu_s / calls * 1e6),
    )


def batches(server: Server, unary_per_s: float) -> None:
    words = [sys.executable, "-c", BATCHES, server.port, str(SECONDS)]
    cpu_s = server.cpu_s()
    points, seconds = map(float, subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
    row(
        "the same points in batches over HTTP, on SQLite, one client",
        points_per_s=round(points / seconds),
        times_unary_calls_on_sqlite=round(points / seconds / unary_per_s, 1),
        server_cpu_us_per_point=round((server.cpu_s() - cpu_s) / points * 1e6, 2),
    )


def main() -> None:
    row("the machine", processors=os.cpu_count(), load=os.getloadavg()[0], at=time.strftime("%Y-%m-%d %H:%M"))
    with running("memory") as server:
        unary(server, "GetExperiment, through gRPC's own server, in memory", "GetExperiment", server.question)
        unary(server, "LogMetrics, in memory", "LogMetrics", server.point)
        by_grpc(server)
    with running("sqlite") as server:
        batches(server, unary(server, "LogMetrics, on SQLite", "LogMetrics", server.point))
    if "--profile" in sys.argv:
        with running("memory", profiled=True) as server:
            unary(server, "LogMetrics, in memory, profiled", "LogMetrics", server.point)


if __name__ == "__main__":
    main()
