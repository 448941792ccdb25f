"""kill -9 of a server under four writers: what they were told is kept is there, once, when it is back."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelbox.client.address import ServerAddress
from modelbox.client.connection import ModelBox
from modelbox.client.http import answers
from modelbox.testing.crash import ACKNOWLEDGING_WRITER, Outcome, acknowledged_steps, stored_steps

WRITERS = 4
TOKEN = "a token of this test"
SERVER = """
import sys
from pathlib import Path
from modelbox_server.standalone import StandaloneServer, serve
from modelbox_server.wiring import local_services
folder, port, token = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
serve(StandaloneServer(lambda: local_services(folder / "store"), port=port, token=token, runtime_folder=folder / "servers"))
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _serve(folder: Path, port: int) -> "tuple[subprocess.Popen[bytes], float]":
    """Start a server, and return it with the seconds until it answered."""
    begin_s = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", SERVER, folder, str(port), TOKEN])
    while not answers(ServerAddress("http", "127.0.0.1", port), timeout_s=0.2):
        assert process.poll() is None
        assert time.monotonic() - begin_s < 30
        time.sleep(0.02)
    return process, time.monotonic() - begin_s


def test_kill_9_of_the_server_under_four_writers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: Callable[[int, int], int]
) -> None:
    outcome = Outcome("kill -9 of the server under 4 writers", rounds(3, 20))
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MODELBOX_API_TOKEN", TOKEN)
    server, slowest_s = _serve(tmp_path, port)
    try:
        with ModelBox(url) as box:
            runs = [box.start(f"writer {number}", namespace="équipe/vision") for number in range(WRITERS)]
            acks = [tmp_path / f"ack {number}" for number in range(WRITERS)]
            seconds = 1.5 * outcome.rounds + 2
            writers = [
                subprocess.Popen(
                    [sys.executable, "-c", ACKNOWLEDGING_WRITER, url, run.id, str(ack), "0", "200", str(seconds)],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for run, ack in zip(runs, acks, strict=True)
            ]
            for writer in writers:
                assert writer.stdout is not None
                assert writer.stdout.readline() == "ready\n"
            for _ in range(outcome.rounds):
                time.sleep(0.7)
                server.send_signal(signal.SIGKILL)
                server.wait()
                server, took_s = _serve(tmp_path, port)
                slowest_s = max(slowest_s, took_s)
            for writer in writers:
                _, _ = writer.communicate(timeout=60)
                assert writer.returncode == 0
            with ModelBox(url) as reader:  # what a writer could not send in its last seconds, the next client does
                for run, ack in zip(runs, acks, strict=True):
                    told = acknowledged_steps(ack)
                    outcome.count(told, stored_steps(reader, run.id, told))
    finally:
        server.terminate()
        server.wait(20)
    outcome.more["slowest_start_s"] = round(slowest_s, 2)
    outcome.report()
