"""The Tab key within a query: fields, keys that experiments have, statistics, values of fields with few values, and the words between."""

import re
from collections.abc import Iterable
from typing import Final, get_args

from modelbox.entities.records import Status
from modelbox.notebook.known import Known
from modelbox.wire.query.ast import RecordName, Statistic
from modelbox.wire.query.spelling import quoted, spelled_name

__all__ = ["query_candidates"]

_WORDS: Final = ("and", "or", "not", "in", "between", "like", "order by", "limit", "show", "asc", "desc")
_FIELDS: Final = (*get_args(RecordName), "params.", "tags.", "metrics.", "metadata.")
_STATISTICS: Final = tuple(f"{name}(" if name == "at" else name for name in get_args(Statistic))
# A path that is being typed: its last part may be in quotes that are still open.
_PATH = re.compile(r"(?P<head>params|tags|metrics|metadata|meta)\.(?P<rest>(?:\"(?:[^\"\\]|\\.)*\"?|[\w/.-])*)$")
_METRIC = re.compile(r"(?P<key>\"(?:[^\"\\]|\\.)*\"|[^\".]+(?:\.[^\".]+)*)\.(?P<statistic>\w*)$")
_VALUE = re.compile(
    r"(?P<field>status|name|namespace|group|owner)\s*(?:=|==|!=|<>|(?:not\s+)?in\s*\((?:[^()]*,)?)\s*(?P<value>\"[^\"]*|[\w/-]*)$"
)
_WORD = re.compile(r"[\w/-]*$")


def query_candidates(query: str, known: Known) -> tuple[str, list[str]]:
    """Return the last fragment of a query, and what may stand in its place."""
    if value := _VALUE.search(query):
        return value["value"], _values(value["field"], value["value"], known)
    if path := _PATH.search(query):
        return path[0], _paths(path["head"], path["rest"], known)
    found = _WORD.search(query)
    fragment = found[0] if found else ""
    return fragment, [word for word in (*_FIELDS, *_WORDS) if word.startswith(fragment.lower())]


def _values(field: str, typed: str, known: Known) -> list[str]:
    names: Iterable[str] = list(Status) if field == "status" else getattr(known, f"{field}s")
    return [word for name in names if (word := _spelled(name, typed)) is not None]


def _paths(head: str, typed: str, known: Known) -> list[str]:
    keys = {"params": known.params, "tags": known.tags, "metrics": known.metrics}.get(head, ())
    words = [f"{head}.{word}" for key in keys if (word := _spelled(key, typed)) is not None]
    metric = _METRIC.fullmatch(typed) if head == "metrics" else None
    if metric is not None and metric["key"] in {spelled_name(key) for key in keys} | {quoted(key) for key in keys}:
        words += [f"{head}.{metric['key']}.{name}" for name in _STATISTICS if name.startswith(metric["statistic"])]
    return words


def _spelled(name: str, typed: str) -> str | None:
    """Return `name` as a query says it, if that goes on from what was typed."""
    if not name.isprintable() or "{" in name or "$" in name:  # IPython would replace {expressions} and $variables
        return None
    word = quoted(name) if typed.startswith('"') else spelled_name(name)
    if word.startswith(typed):
        return word
    return quoted(name) if name.startswith(typed) else None
