"""Fifty users log through the Hub's proxy at once: nothing fails, nothing is lost, and a listing stays quick."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from modelbox.client.address import ServerAddress, parse_address
from modelbox.client.http import HttpTransport
from modelbox.entities.ids import random_id
from modelbox.entities.series import SeriesBlock
from modelbox.wire import routes
from modelbox.wire.messages import ExperimentCreate, ExperimentsQuery, SummariesQuery
from modelbox_server.testing.hub import RunningHub

USERS = 50
SECONDS = 60.0 if os.environ.get("MODELBOX_FAULTS") == "full" else 5.0
POINTS = 20


def transport_of(hub: RunningHub, user: str) -> HttpTransport:
    address = parse_address(hub.modelbox_url)
    assert isinstance(address, ServerAddress)
    return HttpTransport(address, hub.make_token(user)[0])


@pytest.mark.timeout(600)
def test_fifty_users_log_through_the_proxy(hub: RunningHub, capsys: pytest.CaptureFixture[str]) -> None:
    users = [f"user{number:02}" for number in range(USERS)]
    transports = {user: transport_of(hub, user) for user in users}
    ready = threading.Barrier(USERS)
    listings_s: list[float] = []

    def log(user: str) -> tuple[str, int]:
        """Log as a light client does, a few batches a second, and list now and then; whatever fails, fails the test."""
        transport, run_id = transports[user], random_id()
        ready.wait(120)
        transport.call(routes.CREATE_EXPERIMENT, body=ExperimentCreate(name=user, id=run_id))
        until_s, sent = time.monotonic() + SECONDS, 0
        while time.monotonic() < until_s:
            steps = np.arange(sent, sent + POINTS)
            block = SeriesBlock(object_id=run_id, key="loss", steps=steps, wall_times_us=steps * 1000, values=1.0 / (steps + 1))  # type: ignore[arg-type]
            assert not transport.append_metrics([block], client=run_id, batch=sent).duplicate
            sent += POINTS
            began_s = time.monotonic()
            names = {run.name for run in transport.call(routes.LIST_EXPERIMENTS, query=ExperimentsQuery(namespace="default")).items}
            listings_s.append(time.monotonic() - began_s)
            assert names == {user}
            time.sleep(0.2)
        return run_id, sent

    with ThreadPoolExecutor(USERS) as pool:
        logged = dict(zip(users, pool.map(log, users), strict=True))
    for user, (run_id, sent) in logged.items():
        (series,) = transports[user].call(routes.SUMMARIZE_METRICS, body=SummariesQuery(objects=[run_id])).series
        assert (series.count, series.last_step) == (sent, sent - 1)
        transports[user].close()
    p99_ms = float(np.quantile(listings_s, 0.99)) * 1e3
    points = sum(sent for _, sent in logged.values())
    with capsys.disabled():
        print(f"\n{USERS} users, {SECONDS:g} s: {points} points, {len(listings_s)} listings, 99 % of them within {p99_ms:.0f} ms")
