"""What browsers are told when a web page of another server may call this one (CORS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["cors_headers"]

_MAY_SEND = (
    "Authorization, Content-Type, Content-Digest, Idempotency-Key, If-Match, If-None-Match, Range, Grpc-Timeout, X-Grpc-Web, X-User-Agent"
)
_MAY_READ = "Content-Digest, Content-Disposition, Content-Range, ETag, Grpc-Message, Grpc-Status, Retry-After, X-Request-Id"
_MAX_AGE_S = 600


def cors_headers(origin: str, verbs: str) -> Mapping[str, str]:
    """Return the headers for a page of `origin`, which may use `verbs` here. Cookies are not allowed: a token is the only credential."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": verbs,
        "Access-Control-Allow-Headers": _MAY_SEND,
        "Access-Control-Expose-Headers": _MAY_READ,
        "Access-Control-Max-Age": str(_MAX_AGE_S),
        "Vary": "Origin",
    }
