"""The OpenAPI document says what the handlers do."""

import re

import pytest
from jsonschema import Draft202012Validator

from modelbox.entities.records import Json
from modelbox.wire.json import encode
from modelbox.wire.messages import PageQuery
from modelbox.wire.routes import API_PREFIX, ROUTES
from modelbox_server.http.auth import TokenGate
from modelbox_server.http.exchange import ExchangeHandler
from modelbox_server.http.face import Face
from modelbox_server.http.handlers import OPENAPI_PATH, handler_rules
from modelbox_server.http.meters import METRICS_PATH
from modelbox_server.http.openapi import openapi_document
from modelbox_server.http.page import PAGE
from modelbox_server.wiring import ephemeral_services

METHODS = ("get", "put", "post", "patch", "delete")


@pytest.fixture(scope="module")
def document() -> dict[str, Json]:
    return openapi_document("/user/a%20b/modelbox")


def operations(document: dict[str, Json]) -> dict[tuple[str, str], dict[str, Json]]:
    return {(method.upper(), path): item[method] for path, item in document["paths"].items() for method in METHODS if method in item}


def test_every_route_and_verb_is_described_once(document: dict[str, Json]) -> None:
    described = {key for key in operations(document) if key[1].startswith(API_PREFIX)}
    assert described == {(route.method, API_PREFIX + route.path) for route in ROUTES}


def test_every_handler_is_described_and_everything_described_has_a_handler(document: dict[str, Json]) -> None:
    face = Face(ephemeral_services, TokenGate("x"))
    rules = handler_rules(face, ExchangeHandler, ExchangeHandler)
    served = set()
    for pattern, _, arguments in rules[:-1]:  # the last one says what is unknown
        path = re.sub(r"\(\?P<(\w+)>\[\^/\]\+\)", r"{\1}", pattern).replace("\\", "")
        served |= {(verb, path) for verb in arguments["verbs"] if verb != "HEAD"}  # type: ignore[attr-defined]
    beside_the_api = {("GET", path) for path in (OPENAPI_PATH, METRICS_PATH, *PAGE)}
    assert served - beside_the_api == set(operations(document))


def test_operations_have_names_of_their_own(document: dict[str, Json]) -> None:
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere(document: dict[str, Json]) -> None:
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', encode(document).decode()))
    assert references <= set(document["components"]["schemas"])


def test_every_schema_is_one(document: dict[str, Json]) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_path_parameters_are_those_of_the_path(document: dict[str, Json]) -> None:
    for path, item in document["paths"].items():
        named = [parameter["name"] for parameter in item.get("parameters", [])]
        assert named == re.findall(r"\{(\w+)\}", path)


def test_query_parameters_carry_type_default_and_description(document: dict[str, Json]) -> None:
    parameters = {parameter["name"]: parameter for parameter in operations(document)["GET", "/api/v1/experiments"]["parameters"]}
    assert parameters["limit"]["schema"]["minimum"] == 1
    assert parameters["limit"]["schema"]["default"] == PageQuery().limit
    assert not any(parameter["required"] for parameter in parameters.values())
    upload = operations(document)["PUT", "/api/v1/objects/{object_id}/artifacts"]
    assert [parameter["name"] for parameter in upload["parameters"] if parameter["required"]] == ["name"]


def test_streams_name_their_media_types(document: dict[str, Json]) -> None:
    arrow = "application/vnd.apache.arrow.stream"
    by_key = operations(document)
    assert set(by_key["POST", "/api/v1/metrics"]["requestBody"]["content"]) == {"application/json", arrow}
    assert set(by_key["POST", "/api/v1/metrics/read"]["responses"]["200"]["content"]) == {"application/json", arrow}
    assert set(by_key["GET", "/api/v1/artifacts/{artifact_id}/content"]["responses"]) == {"200", "206", "304", "default"}


def test_only_health_is_open(document: dict[str, Json]) -> None:
    assert document["security"] == [{"token": []}]
    open_paths = {path for (_, path), operation in operations(document).items() if operation.get("security") == []}
    assert open_paths == {"/livez", "/readyz", "/healthz", "/version"}


def test_it_says_where_it_is_served(document: dict[str, Json]) -> None:
    assert document["servers"] == [{"url": "/user/a%20b/modelbox"}]
    assert openapi_document("")["servers"] == [{"url": "/"}]
