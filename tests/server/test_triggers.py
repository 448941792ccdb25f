"""Predicates compare, and can do nothing else."""

from typing import Any

import pytest

from modelbox.errors import InvalidRequest
from modelbox_server.service.triggers import parsed_predicate

EVENT: dict[str, Any] = {"Kind": "created", "Epoch": 3, "Score": 0.5, "Done": True, "Old": {"status": "running"}, "None": None, "List": []}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('event.Kind == "created"', True),
        ("event.Kind === 'created'", True),
        ('event.Kind != "created"', False),
        ('event.Kind !== "x" && event.Epoch >= 3', True),
        ("event.Epoch < 3 || event.Score <= 0.5", True),
        ("event.Epoch > 1e1", False),
        ("event.Score > -1", True),
        ("event.Done", True),
        ("!event.Done", False),
        ("!!event.Done", True),
        ("!(event.Epoch == 3 && event.Done == false)", True),
        ('event.Old.status == "running"', True),
        ("event.Old.nothing.deeper == null", True),
        ("event.Nothing == undefined", True),
        ("event.None < 1", False),
        ('event.Epoch < "4"', False),
        ("event.Done == 1", False),
        ("event.List", True),
        ("event.Nothing || false", False),
        (r"'it\'s' == 'it\'s'", True),
        ("true && false || true", True),
        ("  event.Kind  ", True),
    ],
)
def test_a_predicate_holds_as_in_javascript(text: str, holds: bool) -> None:
    assert parsed_predicate(text)(EVENT) is holds


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "event.", "event..Kind", "event.Kind ==", "(event.Kind", "event.Kind)", "event.Kind == 'x", "window.alert", "event.f()",
        "1 +", "event['Kind']", "a = 1", "event.Kind = 'x'", "event.Kind == \"\\n\"", "&& true", "true false",
        "é", "event.__class__ ? 1 : 2", "!",
    ],
)  # fmt: skip
def test_what_is_no_predicate_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"cannot be read: .* stands where"):
        parsed_predicate(text)


@pytest.mark.parametrize("text", ["(" * 3_000, "!" * 3_000, "event.Kind" + " " * 5_000])
def test_a_predicate_is_bounded(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"levels deep|at most 4096"):
        parsed_predicate(text)
