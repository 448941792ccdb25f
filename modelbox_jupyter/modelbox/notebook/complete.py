"""The Tab key in lines with ``%modelbox``: subcommands, options, and what the store knows by name.

:func:`candidates` is a pure function of the line; :class:`Completion` brings it into IPython, which serves terminals as well as the
``complete_request`` of JupyterLab, Notebook and VS Code.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from IPython.core.completer import SimpleCompletion, context_matcher

from modelbox.entities.records import Status
from modelbox.notebook.command import Command, Parser
from modelbox.notebook.commands import COMMANDS
from modelbox.notebook.complete_query import query_candidates
from modelbox.notebook.known import Knowledge, Known

if TYPE_CHECKING:
    import argparse

    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Candidates", "Completion", "candidates"]

# A line magic may stand behind an assignment.
_LINE = re.compile(r"\s*(?:[\w.,\s\[\]\"']+=\s*)?(?P<magic>%{1,2})modelbox[ \t]+(?P<rest>.*)", re.DOTALL)
_PLAIN = re.compile(r"[\w@%+=:,./-]+")
_MIN_DIGITS = 3
_ID_CHARS = 10


class Candidates(NamedTuple):
    """What may stand in place of the last `fragment` of a line."""

    fragment: str
    words: list[str]
    kind: str = "modelbox"


def candidates(line: str, known: Callable[[], Known]) -> Candidates | None:
    """Return what may come at the end of `line`; ``None`` when it is no line of ours, or a path is wanted.

    Parameters
    ----------
    line
        Up to the cursor.
    known
        Asked only where names are wanted.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    before, fragment = _split(found["rest"])
    if not before:
        names = [command.name for command in COMMANDS.values() if command.takes_cell == (found["magic"] == "%%")]
        return Candidates(fragment, _beginning(fragment, names), "magic")
    command = COMMANDS.get(before[0])
    if command is None:
        return Candidates(fragment, [])
    options = {name: action for action in Parser(command).actions for name in action.option_strings}
    value_of = options.get(before[-1])
    if value_of is not None and value_of.nargs != 0:
        return _values(fragment, value_of.dest, known)
    if fragment.startswith("-"):
        name, equals, value = fragment.partition("=")
        if equals and name in options:
            return _values(value, options[name].dest, known)
        return Candidates(fragment, _beginning(fragment, [name for name in options if name.startswith("--")]), "option")
    if command.takes_query and not any(word in options for word in before):
        return Candidates(*query_candidates("".join(found["rest"].split(maxsplit=1)[1:]), known()))
    return _positional(command, before[1:], fragment, known)


def _split(rest: str) -> tuple[list[str], str]:
    """Return the words before the last one, and the last one as it stands, with the quote that it may begin with."""
    begin, quote = 0, ""
    words: list[str] = []
    for at, char in enumerate(rest):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char.isspace():
            if rest[begin:at]:
                words.append(rest[begin:at])
            begin = at + 1
    return words, rest[begin:]


def _positional(command: Command, before: Sequence[str], fragment: str, known: Callable[[], Known]) -> Candidates | None:
    parser = Parser(command)
    options = {name: action for action in parser.actions for name in action.option_strings}
    given = sum(1 for word, last in zip(before, ["", *before], strict=False) if word not in options and not _takes_value(options.get(last)))
    places = [action for action in parser.actions if not action.option_strings]
    if not places or (given >= len(places) and places[-1].nargs not in {"*", "+"}):
        return Candidates(fragment, _beginning(fragment, [name for name in options if name.startswith("--")]) if fragment else [], "option")
    return _values(fragment, places[min(given, len(places) - 1)].dest, known)


def _takes_value(action: argparse.Action | None) -> bool:
    return action is not None and action.nargs != 0


def _values(fragment: str, dest: str, known: Callable[[], Known]) -> Candidates | None:
    """Return values of an argument: what it is called says what it means, in every subcommand."""
    match dest:
        case "status":
            return Candidates(fragment, _beginning(fragment, list(Status)))
        case "topic":
            return Candidates(fragment, _beginning(fragment, COMMANDS), "magic")
        case "tags":
            fragment = fragment.rpartition(",")[2]
            return Candidates(fragment, list(_quoted(fragment, known().tags)))
        case "param":
            return Candidates(fragment, [f"{word}=" for word in _quoted(fragment, known().params) if word[-1] not in "\"'"])
        case "folder":
            return None  # IPython completes paths
        case "run" | "parent":
            ids = [run_id[:_ID_CHARS] for run_id in known().ids] if len(fragment) >= _MIN_DIGITS else []
            return Candidates(fragment, [*_quoted(fragment, known().names), *_beginning(fragment, ids)])
        case "name" | "namespace" | "group" | "metric" | "tag":
            return Candidates(fragment, list(_quoted(fragment, getattr(known(), f"{dest}s"))))
        case _:
            return Candidates(fragment, [])


def _beginning(fragment: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(fragment)]


def _quoted(fragment: str, names: Iterable[str]) -> Iterator[str]:
    """Yield the names that begin with `fragment`, as one word of a shell."""
    quote = fragment[:1] if fragment[:1] in {'"', "'"} else ""
    for name in names:
        # IPython replaces {expressions} and $variables before we see the line, and a line is one line.
        if not name.startswith(fragment.removeprefix(quote)) or not name.isprintable() or "{" in name or "$" in name:
            continue
        if not quote:
            yield name if _PLAIN.fullmatch(name) else shlex.quote(name)
        elif quote not in name and "\\" not in name:
            yield f"{quote}{name}{quote}"


class Completion:
    """The matcher of a shell.

    Parameters
    ----------
    shell
        The shell.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self.knowledge = Knowledge()

    def load(self) -> Callable[[], None]:
        """Let the shell complete our lines, and return how to take that back."""
        completer = self._shell.Completer
        if completer is None:
            return lambda: None

        matcher = context_matcher(priority=100, identifier="modelbox")(lambda context: self._match(context))
        completer.custom_matchers.append(matcher)
        return lambda: completer.custom_matchers.remove(matcher)

    def _match(self, context: CompletionContext) -> SimpleMatcherResult:
        found = None
        try:
            line = context.text_until_cursor
            if "modelbox" in line:  # nearly no key is ours
                found = candidates(line, self.knowledge.now)
        except Exception:  # noqa: BLE001  (a key that was pressed must not print a traceback)
            found = None
        if found is None:
            return {"completions": []}
        # Where nothing fits, what stands there stays: other matchers would offer Python.
        words = [SimpleCompletion(word, type=found.kind) for word in found.words or filter(None, [found.fragment])]
        return {"completions": words, "matched_fragment": found.fragment, "suppress": True, "ordered": True}
