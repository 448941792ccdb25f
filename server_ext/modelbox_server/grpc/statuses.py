"""The statuses of gRPC, by the names that our errors have for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import grpc

__all__ = ["NUMBERS", "go_name"]

NUMBERS: Mapping[str, int] = MappingProxyType({status.name: status.value[0] for status in grpc.StatusCode})
"""The number of each status on the wire."""


def go_name(name: str) -> str:
    """Return a status as gRPC spells it in Go and in its metrics."""
    return {"OK": "OK", "CANCELLED": "Canceled"}.get(name) or "".join(word.capitalize() for word in name.split("_"))
