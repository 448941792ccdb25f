"""Errors as answers: any exception that reaches the HTTP face becomes one :class:`~modelbox.wire.messages.Problem`."""

import http
import math

from tornado import web

from modelbox.errors import (
    BatchConflict,
    InvalidRequest,
    MethodNotAllowed,
    ModelBoxError,
    NotFound,
    PermissionDenied,
    RateLimited,
    StorageUnavailable,
    TooLarge,
    Unauthenticated,
)
from modelbox.wire.json import encode
from modelbox.wire.messages import Problem

__all__ = ["PROBLEM_JSON", "headers_of", "problem_body", "problem_for"]

PROBLEM_JSON = "application/problem+json"
"""Media type of errors (RFC 9457)."""

# Tornado and Jupyter raise bare statuses; these are the classes that mean the same.
_BY_STATUS: dict[int, type[ModelBoxError]] = {
    cls.http_status: cls
    for cls in (
        InvalidRequest,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        MethodNotAllowed,
        TooLarge,
        RateLimited,
        StorageUnavailable,
    )
}


def problem_for(error: BaseException, request_id: str) -> Problem:
    """Return what a caller may know of `error`; an error of ours that we did not foresee shows nothing but its request id."""
    match error:
        case ModelBoxError():
            return Problem(
                status=error.http_status,
                code=error.code,
                title=error.title,
                detail=error.detail,
                field=error.field,
                limit=error.limit,
                retry_after_s=error.retry_after_s,
                stored_points=error.stored_points if isinstance(error, BatchConflict) else None,
                request_id=request_id,
            )
        case web.HTTPError():
            cls = _BY_STATUS.get(error.status_code, InvalidRequest if error.status_code < 500 else ModelBoxError)
            phrase = error.reason or http.HTTPStatus(error.status_code).phrase
            # Jupyter puts the reason of a refusal into `log_message`; it is meant for the caller there.
            detail = error.get_message() if error.status_code < 500 else ""
            return Problem(status=error.status_code, code=cls.code, title=cls.title, detail=detail or f"{phrase}.", request_id=request_id)
        case _:
            detail = f"Something went wrong inside the server; its log says more under the request id {request_id}."
            return Problem(status=500, code=ModelBoxError.code, title=ModelBoxError.title, detail=detail, request_id=request_id)


def problem_body(problem: Problem) -> bytes:
    """Return `problem` as JSON."""
    return encode(problem)


def headers_of(problem: Problem, allow: str = "") -> dict[str, str]:
    """Return the headers that go with `problem`; `allow` lists the verbs of the route for a 405."""
    headers = {"Content-Type": PROBLEM_JSON}
    if problem.status == Unauthenticated.http_status:
        headers["WWW-Authenticate"] = 'Bearer realm="modelbox"'
    if problem.status == MethodNotAllowed.http_status and allow:
        headers["Allow"] = allow
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
    return headers
