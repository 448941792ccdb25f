"""Whatever log() returned for is in the store afterwards, once, when its process is killed; nobody runs a command."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelbox.client.connection import ModelBox
from modelbox.testing.crash import ACKNOWLEDGING_WRITER, Outcome, acknowledged_steps, stored_steps
from modelbox_server.testing.live_server import live_server
from modelbox_server.wiring import local_services

NAMESPACE = "équipe/vision"
STEPS_PER_ROUND = 10_000_000


@pytest.mark.parametrize("rate", [10, 100, 200, 0])
def test_kill_9_of_a_client_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: Callable[[int, int], int], rate: int
) -> None:
    """Each next process sends what the one before it left; the last is a reader that only looks."""
    outcome = Outcome(f"kill -9 of the client at {rate or 'full'} per second", rounds(5, 50))
    seed = random.Random(rate)  # noqa: S311  (chooses instants)
    ack = tmp_path / "ack"
    with live_server(lambda: local_services(tmp_path / "store")) as server:
        monkeypatch.setenv("MODELBOX_API_TOKEN", server.token)
        with ModelBox(server.url) as box:
            run = box.new_experiment("demo", namespace=NAMESPACE)
        for number in range(outcome.rounds):
            first = number * STEPS_PER_ROUND
            arguments = [server.url, run.id, str(ack), str(first), str(rate), "60"]
            process = subprocess.Popen([sys.executable, "-c", ACKNOWLEDGING_WRITER, *arguments], stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            with process.stdout:
                assert process.stdout.readline() == "ready\n"
                time.sleep(seed.uniform(0.1, rounds(1, 8)))
                process.send_signal(signal.SIGKILL)
                process.wait()
        told = acknowledged_steps(ack)
        with ModelBox(server.url) as box:
            outcome.count(told, stored_steps(box, run.id, told))
    outcome.report()
