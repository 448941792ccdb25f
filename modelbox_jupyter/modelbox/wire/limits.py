"""Requests and responses about how much somebody may have or do: quotas, and rates."""

from typing import Annotated

from msgspec import Meta, Struct

from modelbox.wire.messages import Limit

__all__ = ["LimitSet", "LimitShown", "LimitsQuery"]

_Amount = Annotated[int, Meta(ge=0, le=2**62)]
"""A limit; 0 stands for none."""


class LimitsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose limits to list: ``user:NAME`` or ``namespace:PATH``; all that have some when left out."""

    subject: str | None = None
    limit: Limit = 100
    page_token: str | None = None


class LimitSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of a user or a namespace, in place of those that were set before.

    What is left out is as the settings of the server say; 0 stands for no limit. Rates are for users only.
    """

    subject: str
    size_bytes: _Amount | None = None
    points: _Amount | None = None
    experiments: _Amount | None = None
    requests_per_s: _Amount | None = None
    points_per_s: _Amount | None = None


class LimitShown(Struct, frozen=True, kw_only=True):
    """What holds for a user or a namespace, 0 standing for no limit, and what there is."""

    subject: str
    size_bytes: int
    points: int
    experiments: int
    requests_per_s: int
    points_per_s: int
    used_bytes: int
    used_points: int
    used_experiments: int
