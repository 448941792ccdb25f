"""Nothing that is sent as a query can hurt: it is answered at once, with an error that says why."""

import contextlib
import random
import time
from collections.abc import Callable

import pytest

from modelbox.errors import InvalidQuery
from modelbox.wire.query.evaluate import Facts, decide
from modelbox.wire.query.parser import MAX_QUERY_CHARS, parse
from modelbox.wire.query.patterns import MAX_SUBJECT_CHARS, like
from modelbox.wire.query.regex import regex

pytestmark = pytest.mark.timeout(20)

REFUSED = {
    "1 MB of nothing": " " * 1_000_000,
    "1 MB of words": "name = a or " * 83_333,
    "100,000 parentheses": "(" * 100_000,
    "parentheses that fit": "(" * 9_990 + "name",
    "nested and closed": "(" * 4_000 + "name = a" + ")" * 4_000,
    "not not not": "not " * 2_400 + "name",
    "many tests": " or ".join(["name = a"] * 700),
    "many sort fields": "order by " + ", ".join(["name"] * 100),
    "a long number": "params.x < " + "9" * 9_000,
    "a long exponent": "params.x < 1e" + "9" * 300,
    "a long word": "a" * 9_999,
    "a long duration": "age < " + "9" * 300 + "w",
    "an open quote of backslashes": 'name = "' + "\\" * 9_000,
    "open quotes": "'\"`" * 3_000,
    "a long path": "params" + ".a" * 4_000 + " = 1",
    "power tower": "9**9**9 > 0",
    "attributes": "__class__.__bases__[0].__subclasses__() = 1",
    "attributes of a field": "name.__class__.__init__.__globals__ = x",
    "calls": "name = x and __import__('os').system('true')",
    "a lambda": "lambda: 0",
    "SQL": "name = 'x' union select * from experiments --",
    "a comment": "name = 'x' /* ",
    "a bomb of counted repeats": "name ~ '((((a{90}){90}){90}){90})'",
    "a bomb of nested groups": f"name ~ '{'(' * 4_000}'",
    "a pattern of alternatives": f"name ~ '{'a|' * 4_000}a'",
    "a pattern of 2,000 characters": f"name ~ '{'ab' * 1_000}'",
    "a pattern of many repeats": f"name ~ '{'.*a' * 80}'",
    "like with 4,000 wildcards": f"name like '{'%a' * 4_000}'",
    "a glob of 4,000 stars": f"namespace = '{'*a' * 4_000}'",
    "a glob among others": f"namespace in (a, '{'*a' * 4_000}')",
    "braces": f"name ~ '{'{' * 9_000}'",
    "lone surrogates": "name = \ud800",
    "NUL": "name = \0",
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_at_once(what: str) -> None:
    began = time.perf_counter()
    with pytest.raises(InvalidQuery) as raised:
        parse(REFUSED[what])
    print(f"{what}: {(time.perf_counter() - began) * 1e3:.1f} ms, {raised.value.detail.splitlines()[0][:100]}")
    assert len(raised.value.detail) < 600


BOMBS: dict[str, Callable[[], bool]] = {
    "(a+)+$": lambda: regex("^(a+)+$").found_in("a" * 2_000 + "!"),
    "(a|aa)+$": lambda: regex("^(a|aa)+$").found_in("a" * 2_000 + "!"),
    "(.*a){12}": lambda: regex("^(.*a){12}$").found_in("a" * 2_000 + "!"),
    ".*.*.*.*=.*": lambda: regex(".*.*.*.*=.*").found_in("x" * 2_000),
    "(x+x+)+y": lambda: regex("(x+x+)+y").found_in("x" * 2_000),
    "(?i)([…]?){30}": lambda: regex(f"(?i)([{'a-zé-ü' * 18}]?){{30}}é!").found_in("".join(map(chr, range(0x4E00, 0x4E00 + 2_000)))),
    "[ab]*a[ab]{80}c": lambda: regex("[ab]*a[ab]{80}c").found_in("".join(random.Random(1).choices("ab", k=2_000))),  # noqa: S311
    "like %a%a%a%": lambda: like("%a" * 100 + "b").found_in("a" * 2_000),
    "(a|b)*a(a|b){11}": lambda: regex("^(a|b)*a(a|b){11}$").found_in("".join(random.Random(1).choices("ab", k=2_000)) + "!"),  # noqa: S311
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_pattern_takes_time_linear_in_the_text(bomb: str) -> None:
    began = time.perf_counter()
    assert BOMBS[bomb]() is False
    print(f"{bomb}: {(time.perf_counter() - began) * 1e3:.1f} ms")


def test_a_pattern_looks_at_the_beginning_of_a_long_text() -> None:
    text = "x" * MAX_SUBJECT_CHARS + "y"
    assert not regex("y").found_in(text)
    assert regex("x$").found_in(text)


def test_a_long_list_of_values_is_one_look_up() -> None:
    from modelbox.entities.records import ExperimentRecord
    from modelbox.entities.times import EPOCH

    where = parse(f"params.x not in ({','.join(['1'] * 4_900)})").where
    record = ExperimentRecord(id="a" * 40, name="a", namespace="b", created_at=EPOCH, updated_at=EPOCH, started_at=EPOCH)
    assert where is not None
    began = time.perf_counter()
    assert all(decide(where, Facts(record, {"params.x": 2}, {}), 0) for _ in range(10_000))
    print(f"10,000 experiments against 4,900 values: {(time.perf_counter() - began) * 1e3:.1f} ms")


def test_random_text_ends_in_a_query_or_in_an_error() -> None:
    chance = random.Random(7)  # noqa: S311 - a fuzzer wants to be repeatable
    words = ["name", "params", ".", "(", ")", "and", "or", "not", "in", "between", "like", "~", "=", "<", "'a'", "3", "2d", "order", "by"]
    words += [
        "limit",
        ",",
        "metrics",
        "loss",
        "max",
        "created",
        "'2026-07-01'",
        "status",
        "failed",
        "null",
        "nan",
        "é",
        "\\",
        '"',
        "`",
        "\0",
    ]
    for _ in range(5_000):
        with contextlib.suppress(InvalidQuery):
            parse(chance.choice(["", " "]).join(chance.choices(words, k=chance.randrange(1, 15))))


def test_the_longest_query_that_is_read_is_read_quickly() -> None:
    query = " and ".join(f"params.`{'x' * 38}{i}` != {i}" for i in range(160))
    assert 9_000 < len(query) <= MAX_QUERY_CHARS
    began = time.perf_counter()
    parse(query)
    print(f"{len(query)} characters: {(time.perf_counter() - began) * 1e3:.1f} ms")
