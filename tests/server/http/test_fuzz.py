"""Whatever the OpenAPI document allows, and much that it does not, gets an answer that says what is the matter; nothing is a 5xx.

It runs for some seconds, always with the same requests. ``MODELBOX_FUZZ_SECONDS=600`` makes it run for longer, with other ones each time.
"""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from modelbox_server.testing.api_client import ApiClient
from modelbox_server.testing.live_server import LiveServer, live_server

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install --group test")

SECONDS = float(os.environ.get("MODELBOX_FUZZ_SECONDS", "10"))
IS_LONG = "MODELBOX_FUZZ_SECONDS" in os.environ
ENOUGH = max(8, int(SECONDS))
"""Requests of one kind to one operation. What time is left for them is another bound; it ends requests, but not the making of them."""


@pytest.fixture
def server() -> Iterator[LiveServer]:
    with live_server() as server:
        yield server


def known_ids(client: ApiClient) -> list[str]:
    """Make one of everything, so that requests reach further than to a 404."""
    experiment = client.create_experiment()
    made = [experiment, client.api("POST", "/models", {"name": "m"}).json["item"]["id"]]
    made.append(client.api("POST", f"/models/{made[1]}/versions", {"version": "1"}).json["item"]["id"])
    made.append(client.api("POST", f"/experiments/{experiment}/checkpoints", {"epoch": 1}).json["item"]["id"])
    made.append(client.request("PUT", f"/api/v1/objects/{experiment}/artifacts?name=a.txt", body=b"text").json["id"])
    return made


def is_well_put(answer: requests.Response) -> bool:
    """Tell whether an answer is a success, or an error that says in a sentence what is the matter."""
    if answer.status_code < 400:
        return True
    if answer.status_code >= 500 or answer.headers["Content-Type"] != "application/problem+json":
        return False
    problem = answer.json()
    sentence = problem["detail"].splitlines()[0]
    return problem["status"] == answer.status_code and len(sentence) > 10 and sentence[-1] in ".!?\":'`)"


@pytest.mark.timeout(300 + 10 * SECONDS)
def test_no_request_is_too_strange_to_be_answered(server: LiveServer) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/api/v1/openapi.json", headers=server.headers)
    operations = [result.ok() for result in schema.get_all_operations()]
    ids = known_ids(ApiClient(server.url, server.headers))
    kinds = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    counts = {
        operation.label: [ask(server, operation, kind, ids, SECONDS / len(operations) / len(kinds)) for kind in kinds]
        for operation in operations
    }
    assert all(sum(each) > 0 for each in counts.values())
    print(f"{sum(map(sum, counts.values()))} requests to {len(operations)} operations")
    assert ApiClient(server.url).request("GET", "/readyz").status == 200


def ask(server: LiveServer, operation: Any, kind: Any, ids: list[str], budget_s: float) -> int:
    """Send requests of one kind to one operation for a time, and return how many were sent."""
    sent = 0
    until_s = time.monotonic() + budget_s

    @settings(
        max_examples=ENOUGH,
        deadline=None,
        database=None,
        derandomize=not IS_LONG,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=kind), st.sampled_from([None, *ids]))
    def send(case: Any, known: str | None) -> None:
        nonlocal sent
        if sent and time.monotonic() > until_s:
            return
        for name in case.path_parameters or {}:
            if known is not None and name.endswith("_id"):
                case.path_parameters[name] = known
        request = case.as_transport_kwargs(base_url=server.url)
        request["headers"] = {**dict(request["headers"]), **server.headers}  # to be refused for want of a token teaches nothing
        answer = requests.request(**request, timeout=60)
        sent += 1
        assert is_well_put(answer), f"{case.as_curl_command()}\n{answer.status_code} {answer.text[:2000]}"

    try:
        send()
    except Unsatisfiable:
        assert kind is schemathesis.GenerationMode.NEGATIVE  # there is nothing to get wrong
    return sent
