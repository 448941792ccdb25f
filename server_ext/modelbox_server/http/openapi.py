"""The OpenAPI 3.1 document, from the same table and message types that requests are validated with."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from modelbox.entities.records import Json
from modelbox.wire.messages import Created, Problem
from modelbox.wire.routes import API_PREFIX, ROUTES
from modelbox.wire.series import ARROW_STREAM
from modelbox_server.http.exchange import JSON
from modelbox_server.http.health import HEALTH
from modelbox_server.http.problems import PROBLEM_JSON
from modelbox_server.service.info import program_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelbox.wire.routes import Route

    AnyRoute = Route[object, object, object]

__all__ = ["openapi_document"]

Schema: TypeAlias = dict[str, Json]

_REF = "#/components/schemas/{name}"
_OCTETS = "application/octet-stream"
_BINARY: Schema = {"type": "string", "format": "binary"}


@lru_cache(maxsize=8)
def openapi_document(mount: str) -> Schema:
    """Return the description of the API as served below the path `mount`."""
    types = [kind for route in ROUTES for kind in (route.body, route.response) if kind is not None]
    queries = [route.query for route in ROUTES]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template=_REF)
    by_type: dict[object, Schema] = dict(zip([*types, Problem], schemas, strict=True))
    _, query_components = msgspec.json.schema_components(queries, ref_template=_REF)

    paths: dict[str, Schema] = {}
    for route in ROUTES:
        item = paths.setdefault(API_PREFIX + route.path, {"parameters": _path_parameters(route)})
        item[route.method.lower()] = _operation(route, by_type, query_components)
    for path in HEALTH:
        paths[path] = {"get": _health(path)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "ModelBox", "version": program_version(), "summary": "Experiments, metrics, models and their artifacts"},
        "servers": [{"url": mount or "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**components, **_enums(components, query_components)},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: AnyRoute, by_type: Mapping[object, Schema], query_components: Mapping[str, Schema]) -> Schema:
    operation: Schema = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": _query_parameters(route, query_components),
        "responses": {
            **_responses(route, by_type[route.response]),
            "default": {"description": "An error", "content": {PROBLEM_JSON: {"schema": by_type[Problem]}}},
        },
        "x-modelbox-action": route.action,
    }
    body = _body(route, by_type)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _body(route: AnyRoute, by_type: Mapping[object, Schema]) -> Schema | None:
    if route.stream == "upload":
        return {_OCTETS: {"schema": _BINARY}}
    if route.body is None:
        return None
    content: Schema = {JSON: {"schema": by_type[route.body]}}
    if route.stream == "metrics-in":
        content[ARROW_STREAM] = {"schema": _BINARY}
    return content


def _responses(route: AnyRoute, schema: Schema) -> Schema:
    answer: Schema = {"description": route.summary, "content": {JSON: {"schema": schema}}}
    if getattr(route.response, "__origin__", None) is Created:
        return {"200": {**answer, "description": "It was there already"}, "201": {**answer, "description": "It was created"}}
    match route.stream:
        case "upload":
            return {"201": answer}
        case "download":
            content = {_OCTETS: {"schema": _BINARY}}
            return {
                "200": {"description": "All bytes", "content": content},
                "206": {"description": "The bytes of the range that was asked for", "content": content},
                "304": {"description": "The caller has these bytes already (If-None-Match)"},
            }
        case "metrics-out":
            return {"200": {**answer, "content": {**answer["content"], ARROW_STREAM: {"schema": _BINARY}}}}
        case _:
            return {"200": answer}


def _path_parameters(route: AnyRoute) -> list[Schema]:
    names = re.findall(r"\{(\w+)\}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(route: AnyRoute, components: Mapping[str, Schema]) -> list[Schema]:
    schema = components[route.query.__name__]
    required = schema.get("required", [])
    return [{"name": name, "in": "query", "required": name in required, "schema": part} for name, part in schema["properties"].items()]


def _enums(components: Mapping[str, Schema], query_components: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return what only query parameters refer to."""
    return {name: schema for name, schema in query_components.items() if "properties" not in schema and name not in components}


def _health(path: str) -> Schema:
    ready = path in {"/readyz", "/healthz"}
    responses: Schema = {"200": {"description": "Yes" if ready else "The server answers"}}
    if ready:
        responses["503"] = {"description": "The storage cannot be written to now"}
    return {
        "operationId": path.strip("/"),
        "summary": "Whether requests can be served" if ready else "Whether, and which, server answers",
        "tags": ["health"],
        "security": [],
        "responses": responses,
    }
