"""The gRPC face beside the batched HTTP path: ``python tests/bench/bench_grpc.py``.

It prints one JSON line per row. Upstream's Go server took 4,400 ``LogMetrics`` calls a second from one thread of its Python SDK, kept in
memory. Here eight connections, each in a process of its own, call as fast as they can; the server is a process of its own, too, on SQLite.
Beside it: the same points in batches over HTTP, and what a unary call costs that does nothing but read one experiment.
"""

import json
import statistics
import subprocess
import sys
import tempfile

CONNECTIONS = 8
SECONDS = 5.0
UPSTREAM_CALLS_PER_S = 4_400

SERVER = """
import sys
from functools import partial
from pathlib import Path
from modelbox_server.standalone import StandaloneServer, serve
from modelbox_server.wiring import local_services
folder = Path(sys.argv[1])
server = StandaloneServer(partial(local_services, folder / "store"), port=0, token="bench")
serve(server, on_start=lambda server: print(server.port, flush=True))
"""

CALLER = """
import sys, time
import grpc
from modelbox_server.grpc.schema import message
port, name, seconds, experiment = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
token = [("authorization", "Bearer bench")]
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    call = channel.unary_unary(f"/modelbox.ModelStore/{name}")
    if name == "LogMetrics":
        value = message("MetricsValue")(step=1, wallclock_time=5, f_val=0.5)
        request = message("LogMetricsRequest")(parent_id=experiment, key=f"loss {sys.argv[5]}", value=value).SerializeToString()
    else:
        request = message("GetExperimentRequest")(id=experiment).SerializeToString()
    call(request, metadata=token)
    print("ready", flush=True)
    sys.stdin.readline()
    calls, end_s, times_us = 0, time.perf_counter() + seconds, []
    while time.perf_counter() < end_s:
        begin_s = time.perf_counter()
        call(request, metadata=token)
        times_us.append((time.perf_counter() - begin_s) * 1e6)
        calls += 1
    times_us.sort()
    print(calls, times_us[len(times_us) // 2], times_us[len(times_us) * 99 // 100], flush=True)
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


def row(name: str, **figures: object) -> None:
    print(json.dumps({"bench": "grpc", "row": name, **figures}), flush=True)


def unary(port: str, name: str, experiment: str) -> tuple[float, float, float]:
    """Return calls a second of all connections together, and the medians of their p50 and p99 in microseconds."""
    words = [sys.executable, "-c", CALLER, port, name, str(SECONDS), experiment]
    callers = [
        subprocess.Popen([*words, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for number in range(CONNECTIONS)
    ]
    for caller in callers:
        assert caller.stdout is not None
        caller.stdout.readline()
    for caller in callers:
        assert caller.stdin is not None
        caller.stdin.write("go\n")
        caller.stdin.flush()
    answers = [caller.communicate()[0].split() for caller in callers]
    calls = sum(int(answer[0]) for answer in answers)
    return (
        calls / SECONDS,
        statistics.median(float(answer[1]) for answer in answers),
        statistics.median(float(answer[2]) for answer in answers),
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([sys.executable, "-c", SERVER, folder], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            measure(port)
        finally:
            server.terminate()
            server.wait()


def measure(port: str) -> None:
    import grpc

    from modelbox_server.grpc.schema import message

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        create = channel.unary_unary("/modelbox.ModelStore/CreateExperiment")
        answer = create(message("CreateExperimentRequest")(name="bench").SerializeToString(), metadata=[("authorization", "Bearer bench")])
    experiment = message("CreateExperimentResponse").FromString(answer).experiment_id
    rates = {}
    for name in ("GetExperiment", "LogMetrics"):
        rates[name], p50_us, p99_us = unary(port, name, experiment)
        ratio = rates[name] / UPSTREAM_CALLS_PER_S
        row(
            f"{name}, {CONNECTIONS} connections",
            calls_per_s=round(rates[name]),
            p50_us=round(p50_us),
            p99_us=round(p99_us),
            upstream=round(ratio, 2),
        )
    words = [sys.executable, "-c", BATCHES, port, str(SECONDS)]
    points, seconds = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    rate = int(points) / float(seconds)
    row("the same points in batches over HTTP, one client", points_per_s=round(rate), beside_unary=round(rate / rates["LogMetrics"], 1))


if __name__ == "__main__":
    main()
