r"""Regular expressions as patterns that are matched in linear time.

There are literals, ``.``, classes, ``\d \w \s`` and their opposites, repeats, alternatives, groups, ``^``, ``$`` and a leading ``(?i)``;
there are no back-references and no look-around, which is what makes linear time possible. Unlike in Python, ``$`` is the very end, not
before a newline there.
"""

from functools import lru_cache
from itertools import chain, repeat
from typing import Final, TypeAlias

from modelbox.wire.query.patterns import CharTest, Pattern, PatternError, State, checked_length

__all__ = ["regex"]

_MAX_STATES: Final = 250
_MAX_REPEATS: Final = 100
_MAX_DEPTH: Final = 20


def regex(source: str) -> Pattern:
    """Return the pattern of a regular expression, which may be found anywhere in the text.

    Raises
    ------
    PatternError
        It is malformed, too large, or uses what cannot be matched in linear time.
    """
    ignore_case = checked_length(source).startswith("(?i)")
    builder = _Builder(source, 4 if ignore_case else 0, ignore_case=ignore_case)
    return Pattern("regex", source, *builder.whole(), ignore_case=ignore_case)


_Fragment: TypeAlias = tuple[State, State]

_CLASSES: dict[str, CharTest] = {
    "d": str.isdecimal,
    "w": lambda char: char.isalnum() or char == "_",
    "s": str.isspace,
    "D": lambda char: not char.isdecimal(),
    "W": lambda char: not (char.isalnum() or char == "_"),
    "S": lambda char: not char.isspace(),
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}


class _Builder:
    """Recursive descent over a regular expression; each part becomes a fragment with one way in and one way out."""

    def __init__(self, source: str, at: int, *, ignore_case: bool) -> None:
        self._source = source
        self._at = at
        self._ignore_case = ignore_case
        self._depth = 0
        self._count = 0
        self._classes: dict[int, tuple[CharTest, int]] = {}

    def whole(self) -> _Fragment:
        fragment = self._alternatives()
        if self._at < len(self._source):
            raise PatternError(self._at, "')' closes no group: write '\\)' for the character.")
        return fragment

    def _state(self, *, after: State | None = None, test: CharTest | None = None, at_start: bool = False, at_end: bool = False) -> State:
        self._count += 1
        if self._count > _MAX_STATES:
            raise PatternError(self._at, f"the pattern is too large: at most {_MAX_STATES} characters and repeats are followed.")
        return State([] if after is None else [after], test, at_start, at_end)

    def _next(self) -> str:
        return self._source[self._at] if self._at < len(self._source) else ""

    def _takes(self, char: str) -> bool:
        taken = self._source.startswith(char, self._at)
        self._at += len(char) if taken else 0
        return taken

    def _alternatives(self) -> _Fragment:
        start, end = self._sequence()
        if self._next() != "|":
            return start, end
        fork, join = self._state(after=start), self._state()
        end.after.append(join)
        while self._takes("|"):
            start, end = self._sequence()
            fork.after.append(start)
            end.after.append(join)
        return fork, join

    def _sequence(self) -> _Fragment:
        start = end = self._state()
        while self._next() not in {"", "|", ")"}:
            first, last = self._repeated()
            end.after.append(first)
            end = last
        return start, end

    def _repeated(self) -> _Fragment:
        begins = self._at
        fragment = self._atom()
        ends = self._at
        bounds = self._bounds()
        if bounds is None:
            return fragment
        if self._source[begins] in {"^", "$"}:
            raise PatternError(ends, "a place in the text cannot be repeated: remove the repeat.")
        if self._next() in {"*", "+", "?"} or self._opens_bounds():
            raise PatternError(self._at, "a repeat of a repeat is not supported: put the first one into a group.")
        low, high = bounds
        resume = self._at
        # Every copy but the first is read anew from the source: graphs have no cheap copy.
        copies = chain([fragment], (self._again(begins, ends) for _ in repeat(None)))
        start = end = self._state()
        for copy in range(low if high is None else high):
            first, last = next(copies)
            end.after.append(first)
            if copy >= low:
                skip = self._state()
                last.after.append(skip)
                end.after.append(skip)
                last = skip
            end = last
        if high is None:
            first, last = next(copies)
            loop = self._state(after=first)
            last.after.append(loop)
            end.after.append(loop)
            end = self._state()
            loop.after.append(end)
        self._at = resume
        return start, end

    def _again(self, begins: int, ends: int) -> _Fragment:
        self._at = begins
        fragment = self._atom()
        if self._at != ends:
            raise PatternError(begins, "this part cannot be repeated.")
        return fragment

    def _bounds(self) -> tuple[int, int | None] | None:
        if self._takes("*"):
            return 0, None
        if self._takes("+"):
            return 1, None
        if self._takes("?"):
            return 0, 1
        if not self._opens_bounds():
            return None
        at = self._at
        close = self._source.index("}", at)
        low, comma, high = self._source[at + 1 : close].partition(",")
        self._at = close + 1
        least = int(low or "0")
        most = (int(high) if high else None) if comma else least
        if max(least, most or 0) > _MAX_REPEATS or (most is not None and most < least):
            raise PatternError(at, f"a repeat goes from a number to no smaller one, at most {_MAX_REPEATS}.")
        return least, most

    def _opens_bounds(self) -> bool:
        """Tell whether ``{2}``, ``{2,}``, ``{,3}`` or ``{2,3}`` comes next; any other brace is a character."""
        if self._next() != "{":
            return False
        close = self._source.find("}", self._at, self._at + 16)
        if close < 0:
            return False
        low, comma, high = self._source[self._at + 1 : close].partition(",")
        return bool(low or comma) and all(not part or (part.isascii() and part.isdecimal()) for part in (low, high))

    def _atom(self) -> _Fragment:
        at = self._at
        char = self._source[at]
        self._at += 1
        match char:
            case "(":
                return self._group(at)
            case "[":
                return self._reads(self._class(at))
            case ".":
                return self._reads(lambda read: read != "\n")
            case "^" | "$":
                last = self._state()
                return self._state(after=last, at_start=char == "^", at_end=char == "$"), last
            case "*" | "+" | "?":
                raise PatternError(at, f"there is nothing for '{char}' to repeat: write '\\{char}' for the character.")
            case "\\":
                return self._reads(self._escaped(at))
            case _:
                return self._reads(self._is(char))

    def _reads(self, test: CharTest) -> _Fragment:
        last = self._state()
        return self._state(after=last, test=test), last

    def _group(self, at: int) -> _Fragment:
        if self._next() == "?" and not self._takes("?:"):
            raise PatternError(at, "of the groups that begin with '(?' only '(?:' is supported, and '(?i)' at the very beginning.")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise PatternError(at, f"groups nest deeper than {_MAX_DEPTH} levels.")
        fragment = self._alternatives()
        if not self._takes(")"):
            raise PatternError(at, "this group is not closed: write '\\(' for the character.")
        self._depth -= 1
        return fragment

    def _is(self, char: str) -> CharTest:
        # A few characters have lower cases of two characters; they are compared as they are.
        return (char.lower() if self._ignore_case else char).__eq__

    def _escaped(self, at: int) -> CharTest:
        char = self._next()
        self._at += 1
        if char in _CLASSES:
            return _CLASSES[char]
        return self._is(self._literal(char, at))

    @staticmethod
    def _literal(char: str, at: int) -> str:
        if char in _CONTROLS:
            return _CONTROLS[char]
        if not char or char.isalnum():
            raise PatternError(at, f"'\\{char}' is not supported: of escapes there are \\d \\w \\s \\D \\W \\S \\n \\t and those of signs.")
        return char

    def _class(self, at: int) -> CharTest:
        """Return the test of the class that begins at `at`; the copies of a repeat share it."""
        if at not in self._classes:
            test = self._read_class(at)
            self._classes[at] = (test, self._at)
        test, self._at = self._classes[at]
        return test

    def _read_class(self, at: int) -> CharTest:
        negated = self._takes("^")
        tests: list[CharTest] = []
        first = True
        while first or self._next() != "]":
            first = False
            item = self._class_item(at)
            if not isinstance(item, str):
                tests.append(item)
                continue
            high: str | CharTest = item
            if self._next() == "-" and self._source[self._at + 1 : self._at + 2] not in {"]", ""}:
                self._at += 1
                high = self._class_item(at)
            if not isinstance(high, str) or high < item:
                raise PatternError(at, "this class has a range that ends before it begins.")
            tests += self._range(item, high)
        self._at += 1
        # The states that a repeat makes of one class ask about the same characters again and again.
        return lru_cache(maxsize=4096)(lambda char: any(test(char) for test in tests) is not negated)

    def _class_item(self, at: int) -> str | CharTest:
        """Return the next character of a class, or the test of a class within it."""
        char = self._next()
        if not char:
            raise PatternError(at, "this class is not closed: write '\\[' for the character.")
        self._at += 1
        if char != "\\":
            return char
        char = self._next()
        self._at += 1
        return _CLASSES.get(char) or self._literal(char, at)

    def _range(self, low: str, high: str) -> list[CharTest]:
        if not self._ignore_case:
            return [lambda char: low <= char <= high]
        # The text is in lower case: a letter is in the range when either of its cases is.
        return [lambda char: low <= char <= high or low <= char.upper() <= high or low <= char.title() <= high]
