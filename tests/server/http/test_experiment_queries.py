"""Queries in the address: found alike behind either face, and mistakes come back with their place."""

from urllib.parse import quote

from modelbox.entities.ids import random_id
from modelbox_server.testing.api_client import ApiClient


def test_experiments_are_found_by_query_over_http(client: ApiClient) -> None:
    mark = random_id()
    for number in range(4):
        body = {"name": f"été & co #{number}", "namespace": "équipe/vision", "metadata": {"params.lr": number / 10, f"tags.{mark}": True}}
        assert client.api("POST", "/experiments", body | {"id": random_id()}).status == 201
    q = quote(f"tags.'{mark}' and name like '%& co #%' and params.lr between 0.1 and 0.3 order by params.lr desc", safe="")
    first = client.api("GET", f"/experiments?q={q}&limit=2").json
    assert [item["name"][-1] for item in first["items"]] == ["3", "2"]
    rest = client.api("GET", f"/frames/experiments?q={q}&limit=2&page_token={first['next_page_token']}").json
    assert [item["name"][-1] for item in rest["experiments"]] == ["1"]
    assert rest["next_page_token"] is None


def test_a_mistake_is_a_problem_with_its_place(client: ApiClient) -> None:
    answer = client.api("GET", f"/experiments?q={quote('status = finishd')}")
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "invalid_query", "q")
    assert answer.json["detail"].split("\n") == [
        "Column 10: there is no status 'finishd'. Did you mean 'finished'?",
        "    status = finishd",
        "             ^",
    ]


def test_hostile_queries_are_refused(client: ApiClient) -> None:
    for q in ("9**9**9 > 0", "(" * 9_000, "name ~ '(a+)+" + "(" * 1_000 + "'", "x" * 20_000):
        answer = client.api("GET", f"/experiments?q={quote(q)}")
        assert (answer.status, answer.json["code"]) == (400, "invalid_query"), q[:20]
