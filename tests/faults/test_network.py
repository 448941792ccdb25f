"""Answers that never come, connections that break, a server that is away: training does not notice, and the store has all of it once."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

import pytest

from modelbox.client.address import ServerAddress
from modelbox.client.connection import ModelBox
from modelbox.client.discovery import Where
from modelbox.client.http import HttpTransport
from modelbox.client.sender import Pace, Sender
from modelbox.client.spool import SpooledJournal
from modelbox.testing.crash import KEY, Outcome, stored_steps
from modelbox.testing.proxy import Fault, fault_proxy
from modelbox_server.testing.live_server import live_server
from modelbox_server.wiring import local_services

FAST = Pace(interval_s=0.01, first_pause_s=0.01, longest_pause_s=0.05)


def _connect(port: int, token: str, root: Path, pace: Pace = FAST) -> ModelBox:
    transport = HttpTransport(ServerAddress("http", "127.0.0.1", port), token)
    sender = Sender(transport, make_journal=lambda: SpooledJournal(root), pace=pace)
    return ModelBox.over(transport, Where("server", f"http://127.0.0.1:{port}", "a test asked for it"), sender=sender)


@pytest.mark.parametrize("fault", ["swallow", "refuse", "reset"])
def test_exchanges_that_break_store_points_once(tmp_path: Path, rounds: Callable[[int, int], int], fault: Fault) -> None:
    outcome = Outcome(f"answers to batches: {fault}", rounds(20, 200))
    with (
        live_server(lambda: local_services(tmp_path / "store")) as server,
        fault_proxy(server.port) as proxy,
        _connect(proxy.port, server.token, tmp_path / "spool") as box,
    ):
        run = box.new_experiment("demo", namespace="équipe/vision")
        step = 0
        while proxy.done[fault] < outcome.rounds:
            # Two in a row, so that the second attempt of the transport breaks as well; then one that passes.
            if not proxy.faults:
                proxy.faults += [fault, fault, "pass"]
            run.log({KEY: step / 7}, step=step)
            step += 1
            run.flush(0.1)
        proxy.faults.clear()
        assert run.flush(30)
        outcome.count(range(step), stored_steps(box, run.id))
    outcome.report()


def test_a_server_that_is_away_is_invisible_to_training(tmp_path: Path, rounds: Callable[[int, int], int]) -> None:
    away_s = rounds(3, 394)
    outcome = Outcome("server away", 1, more={"away_s": away_s})
    took_ms: list[float] = []
    with live_server(lambda: local_services(tmp_path / "store")) as server:
        box = _connect(server.port, server.token, tmp_path / "spool", Pace())
        run = box.new_experiment("demo", namespace="équipe/vision")
        port, token = server.port, server.token
    end_s, step = time.monotonic() + away_s, 0
    while time.monotonic() < end_s:
        begin_s = time.perf_counter()
        run.log({KEY: step / 7}, step=step)
        took_ms.append((time.perf_counter() - begin_s) * 1000)
        step += 1
        time.sleep(0.002)
    with live_server(lambda: local_services(tmp_path / "store"), port=port, token=token):
        begin_s = time.monotonic()
        assert run.flush(60)
        outcome.more["caught_up_s"] = round(time.monotonic() - begin_s, 2)
        outcome.count(range(step), stored_steps(box, run.id))
        box.close()
    outcome.more["log_p99_ms"] = round(quantiles(took_ms, n=100)[98], 3)
    outcome.report()
