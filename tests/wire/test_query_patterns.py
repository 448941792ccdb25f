"""Patterns find what Python's own regular expressions find, in time that Python's do not promise."""

import re
import warnings

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from modelbox.wire.query.patterns import glob, like
from modelbox.wire.query.regex import PatternError, regex

LETTERS = st.sampled_from("abAé1_ -.")
ATOMS = st.one_of(
    LETTERS.map(re.escape),
    st.sampled_from(
        [".", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", "[ab]", "[^a]", "[a-cé]", r"[\d_]", r"[^\w.]", "[]a]", "[a-]", "^", "$"]
    ),
)
REPEATS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,2}", "{,2}", "{1,}", "{0}"])


def _repeated(atoms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    # Python refuses to repeat an anchor; in a group it does not.
    return st.tuples(atoms, REPEATS).map(lambda pair: pair[0] if pair[0] in {"^", "$"} else "".join(pair))


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    alternatives = st.lists(inner, min_size=1, max_size=3).map("|".join)
    group = st.tuples(st.sampled_from(["(", "(?:"]), alternatives, REPEATS).map(lambda parts: f"{parts[0]}{parts[1]}){parts[2]}")
    return st.lists(st.one_of(_repeated(ATOMS), group), min_size=1, max_size=4).map("".join)


PATTERNS = st.recursive(_repeated(ATOMS), _grown, max_leaves=5)
# Python hangs on longer texts: of 12 letters some patterns here kept it busy for minutes.
TEXTS = st.text(alphabet="abAé1_ -.", max_size=6)


@settings(max_examples=500, deadline=None)
@given(pattern=PATTERNS, text=TEXTS, ignore_case=st.booleans())
def test_it_finds_what_python_finds(pattern: str, text: str, ignore_case: bool) -> None:
    # In Python $ also stands before a newline at the end; \Z does not.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = re.compile(re.sub(r"(?<!\\)\$", r"\\Z", pattern), re.IGNORECASE if ignore_case else 0)
    try:
        ours = regex(f"(?i){pattern}" if ignore_case else pattern)
    except PatternError as error:
        assert "too large" in str(error)  # noqa: PT017 - repeats of repeats grow beyond what is followed
        reject()
    found = theirs.search(text) is not None
    assert ours.found_in(text) is found
    assert ours.found_in(text) is found, "the second time from memory"


@given(pattern=st.text(alphabet=r"ab(){}[]|*+?.^$\-,12d", max_size=12))
def test_what_it_takes_python_takes_too(pattern: str) -> None:
    try:
        ours = regex(pattern)
    except PatternError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = re.compile(re.sub(r"(?<!\\)((?:\\\\)*)\$", r"\1\\Z", pattern) if "[" not in pattern else pattern)
    for text in ("", "a", "ab", "1", "a1b2", "((", "{1}"):
        assert ours.found_in(text) is (theirs.search(text) is not None)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("val%", "validation", True),
        ("val%", "my val", False),
        ("%loss%", "val/loss @1", True),
        ("v_l", "val", True),
        ("v_l", "vall", False),
        (r"100\%", "100%", True),
        (r"100\%", "100 %", False),
        (r"a\_b", "a_b", True),
        (r"a\_b", "axb", False),
        ("%", "", True),
        ("%", "a\nb", True),
        ("", "", True),
        ("", "a", False),
        ("a.b*", "a.b*", True),
        ("a.b*", "aXbb", False),
    ],
)
def test_like_is_that_of_sql(pattern: str, text: str, matches: bool) -> None:
    assert like(pattern).found_in(text) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [("team/*", "team/vision/a", True), ("team/*", "team", False), ("*/v?", "équipe/v2", True), ("*", "", True), ("a%", "ab", False)],
)
def test_a_glob_has_stars_and_question_marks(pattern: str, text: str, matches: bool) -> None:
    assert glob(pattern).found_in(text) is matches


def test_the_prefix_is_what_every_match_begins_with() -> None:
    assert [like(source).prefix for source in ("val%", "%val", r"a\%b_c", "abc")] == ["val", "", "a%b", "abc"]
