r"""Patterns over text, matched in time linear in the text: the automaton behind them, and LIKE and globs.

Python's ``re`` tries one way after another and can take years on ``(a+)+$``. Here a pattern is a graph of states, all of which that can be
reached are followed at once; sets of states that were met before are remembered, so a step costs one look-up.
:mod:`modelbox.wire.query.regex` makes such graphs of regular expressions.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

__all__ = ["MAX_PATTERN_CHARS", "MAX_SUBJECT_CHARS", "CharTest", "Pattern", "PatternError", "State", "checked_length", "glob", "like"]

MAX_SUBJECT_CHARS: Final = 2048
"""How much of a text a pattern looks at."""

MAX_PATTERN_CHARS: Final = 250
"""How long a pattern may be: what a longer one costs per text would be felt."""

_MAX_REMEMBERED: Final = 10_000

CharTest: TypeAlias = Callable[[str], bool]
"""Tells whether a character is one of those that are meant."""


class PatternError(ValueError):
    """The pattern is wrong at index `at`."""

    def __init__(self, at: int, sentence: str) -> None:
        super().__init__(sentence)
        self.at = at


def checked_length(source: str) -> str:
    """Return the pattern, or raise :class:`PatternError` because it is too long."""
    if len(source) > MAX_PATTERN_CHARS:
        raise PatternError(0, f"this pattern has {len(source)} characters: at most {MAX_PATTERN_CHARS} are followed.")
    return source


@dataclass(slots=True, eq=False)
class State:
    """Leads to `after` for free when `test` is ``None``, else over one character; `at_start`, `at_end`: may be passed there only."""

    after: "list[State]" = field(default_factory=list)
    test: CharTest | None = None
    at_start: bool = False
    at_end: bool = False
    follow: "_States | None" = None
    """What is reached behind its character, remembered."""


_States: TypeAlias = frozenset[State]


@dataclass(slots=True, eq=False)
class _Node:
    """A set of states that is followed at once, and the sets that characters lead to, as far as they were met."""

    states: _States
    found: bool
    found_at_end: bool | None = None
    steps: "dict[str, _Node]" = field(default_factory=dict)


class Pattern:
    """A compiled pattern. Equal when made of the same source in the same way.

    Parameters
    ----------
    kind, source
        How and of what it was made.
    start, accept
        First and last state of its graph.
    ignore_case
        Compare in lower case.
    prefix
        What every text that matches begins with.
    """

    def __init__(self, kind: str, source: str, start: State, accept: State, *, ignore_case: bool = False, prefix: str = "") -> None:
        self.kind = kind
        self.source = source
        self.prefix = prefix
        self._accept = accept
        self._ignore_case = ignore_case
        self._nodes: dict[_States, _Node] = {}
        self._remembered = 0
        self._empty_matches = accept in _reached([start], at_start=True, at_end=True)
        self._first = self._node(self._waiting([start], at_start=True))
        self._again = self._waiting([start])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and (self.kind, self.source) == (other.kind, other.source)

    def __hash__(self) -> int:
        return hash((self.kind, self.source))

    def __repr__(self) -> str:
        return f"{self.kind}({self.source!r})"

    def found_in(self, text: str) -> bool:
        """Tell whether the pattern is found in the text."""
        text = text[:MAX_SUBJECT_CHARS]
        if self._ignore_case:
            text = text.lower()
        if not text:
            return self._empty_matches
        node = self._first
        for char in text:
            if node.found or not node.states:
                return node.found
            node = node.steps.get(char) or self._step(node, char)
        if node.found_at_end is None:
            node.found_at_end = self._accept in _reached(node.states, at_end=True)
        return node.found_at_end

    def _step(self, node: _Node, char: str) -> _Node:
        # A match may begin anywhere, so the first state is there again after each character.
        states = set(self._again)
        for state in node.states:
            if state.test is not None and state.test(char):
                if state.follow is None:
                    state.follow = self._waiting(state.after)
                states |= state.follow
        result = self._node(frozenset(states))
        self._remembered += 1
        if self._remembered > _MAX_REMEMBERED:
            # Hostile patterns lead to ever new sets.
            self._remembered = 0
            for known in self._nodes.values():
                known.steps.clear()
            self._nodes.clear()
        node.steps[char] = result
        return result

    def _node(self, states: _States) -> _Node:
        if states not in self._nodes:
            self._nodes[states] = _Node(states, self._accept in states)
        return self._nodes[states]

    def _waiting(self, states: Iterable[State], *, at_start: bool = False) -> _States:
        """Return the states that are reached without reading, and that wait for a character or the end, or accept."""
        reached = _reached(states, at_start=at_start)
        return frozenset(state for state in reached if state.test is not None or state.at_end or state is self._accept)


def _reached(states: Iterable[State], *, at_start: bool = False, at_end: bool = False) -> _States:
    """Return the states and all that are reached from them without reading a character."""
    seen: set[State] = set()
    waiting = list(states)
    while waiting:
        state = waiting.pop()
        if state in seen or (state.at_start and not at_start):
            continue
        seen.add(state)
        # A state that waits for the end stays in the set until the end is known.
        if state.test is None and (not state.at_end or at_end):
            waiting += state.after
    return frozenset(seen)


# --- LIKE and globs ----------------------------------------------------------------------------------------------------------------------


def like(source: str) -> Pattern:
    """Return the pattern of SQL's LIKE over the whole text: ``%`` is any text, ``_`` one character, a backslash makes either literal."""
    return _wildcards("like", source, any_text="%", any_char="_", escape="\\")


def glob(source: str) -> Pattern:
    """Return a pattern over the whole text in which ``*`` is any text, slashes included, and ``?`` one character."""
    return _wildcards("glob", source, any_text="*", any_char="?", escape="")


def _wildcards(kind: str, source: str, *, any_text: str, any_char: str, escape: str) -> Pattern:
    start = State(at_start=True)
    state, prefix, literal = start, "", True
    checked_length(source)
    at = 0
    while at < len(source):
        char = source[at]
        at += 1
        escaped = char == escape and at < len(source) and source[at] in {any_text, any_char, escape}
        if escaped:
            char = source[at]
            at += 1
        wild = not escaped and char in {any_text, any_char}
        literal = literal and not wild
        prefix += char if literal else ""
        read = State(test=_anything if wild else char.__eq__)
        if wild and char == any_text:
            loop = State(after=[read])
            read.after = [loop]
            state.after.append(loop)
            state = loop
        else:
            state.after.append(read)
            state = State()
            read.after = [state]
    accept = State()
    state.after.append(State(after=[accept], at_end=True))
    return Pattern(kind, source, start, accept, prefix=prefix)


def _anything(char: str) -> bool:
    return bool(char)
