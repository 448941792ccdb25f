"""In which order experiments come, and which of them come behind a place in it.

A place is JSON data: the time that ages were taken at, how many came before, the rank and value of each field that is sorted by, and the
creation time and id of the experiment. It stays what it is when the experiment itself changes or goes.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from modelbox.entities.records import Json
from modelbox.entities.times import to_us
from modelbox.wire.query.ast import Field, Term
from modelbox.wire.query.evaluate import Facts, value_of

__all__ = ["Sortable", "behind", "in_order", "is_place", "sortable"]

Sortable: TypeAlias = list[list[Json]]
"""Rank and value per term, followed by creation time and id as two more terms in descending order."""

# A place travels in the address of the next page.
_SORTED_CHARS = 256
_MOMENTS_US = range(to_us(datetime.min.replace(tzinfo=UTC)), to_us(datetime.max.replace(tzinfo=UTC)) + 1)
_NUMBER, _TEXT, _BOOLEAN, _NAN, _NOTHING = range(5)


def sortable(order: Sequence[Term], facts: Facts, now_us: int) -> Sortable:
    """Return what an experiment is sorted by."""
    keys = [_ranked(term.field, facts, now_us) for term in order]
    return [*keys, [_NUMBER, to_us(facts.record.created_at)], [_TEXT, facts.record.id]]


def is_place(value: list[Json], order: Sequence[Term]) -> bool:
    """Tell whether JSON from elsewhere is a place in this order."""
    if len(value) != len(order) + 2 or not all(_is_ranked(item) for item in value):
        return False
    (created_rank, created_us), (id_rank, _) = value[-2:]
    return created_rank == _NUMBER and isinstance(created_us, int) and created_us in _MOMENTS_US and id_rank == _TEXT


def _is_ranked(item: Json) -> bool:
    match item:
        case [int(rank), bool()] | [bool(rank), _]:
            return False
        case [int(rank), str()]:
            return rank == _TEXT
        case [int(rank), int() | float()]:
            return rank in {_NUMBER, _BOOLEAN, _NAN, _NOTHING}
        case _:
            return False


def _ranked(field: Field, facts: Facts, now_us: int) -> list[Json]:
    value = value_of(field, facts, now_us)
    match value:
        case bool():
            return [_BOOLEAN, int(value)]
        case float() if math.isnan(value):
            return [_NAN, 0]
        case int() | float():
            return [_NUMBER, value]
        case str():
            return [_TEXT, value[:_SORTED_CHARS]]
        case _:
            return [_NOTHING, 0]


def _directions(order: Sequence[Term]) -> list[bool]:
    return [*(term.descending for term in order), True, True]


def in_order(keys: Sequence[Sortable], order: Sequence[Term]) -> list[int]:
    """Return the indexes of `keys` in order."""
    indexes = list(range(len(keys)))
    # Sorting is stable, so the last term goes first. Ranks ascend in both directions: what is not there comes last.
    for at, descending in reversed(list(enumerate(_directions(order)))):
        if descending:
            indexes.sort(key=lambda i: (-keys[i][at][0], keys[i][at][1]), reverse=True)
        else:
            indexes.sort(key=lambda i: keys[i][at])
    return indexes


def behind(key: Sortable, place: Sortable, order: Sequence[Term]) -> bool:
    """Tell whether an experiment comes behind a place."""
    for (rank, value), (rank_there, value_there), descending in zip(key, place, _directions(order), strict=True):
        if rank != rank_there:
            return bool(rank > rank_there)
        if value != value_there:
            return bool(value < value_there) if descending else bool(value > value_there)
    return False
