"""What a program prints while an experiment runs, kept line by line: ``start(…, console=True)``.

Lines of ``sys.stdout`` and ``sys.stderr`` become the text series ``console/stdout`` and ``console/stderr``, whose steps number the lines of
both together. They travel like any other points: through the journal, while the experiment runs, and they are there after a crash.

The streams stay the objects that they are; only their ``write`` is wrapped, so that log handlers that hold a stream are heard too. What C
code and child processes print past Python is not seen. Printing never fails or waits because of this, whatever becomes of the lines.

Of a line that is written over again with carriage returns, as progress bars do, the last state is kept. Lines are cut at 4000 characters,
and after 10 MB one last line says that the rest is not kept.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO, cast

from modelbox.client.notices import Notices
from modelbox.entities.own_keys import CONSOLE_PREFIX

if TYPE_CHECKING:
    from modelbox.client.experiment import Experiment
    from modelbox.entities.series import SeriesBlock

__all__ = ["CONSOLE_SERIES", "MAX_CHARS", "MAX_LINE_CHARS", "LineKeeper", "Listener", "capture", "listen", "printed_text", "shown_line"]

CONSOLE_SERIES = {f"{CONSOLE_PREFIX}{stream}": stream for stream in ("stdout", "stderr")}
"""The stream of ``sys`` behind each series."""

MAX_LINE_CHARS = 4000
MAX_CHARS = 10_000_000

Write = Callable[[str], int]
Keep = Callable[[int, str, str], None]

_notices = Notices()


class Listener(Protocol):
    """Hears what is written."""

    def write(self, series: str, text: str) -> None:
        """Take a piece of text that was written to the stream of `series`; must not raise."""
        ...


class LineKeeper:
    """Makes lines of what is written, and hands them on.

    Parameters
    ----------
    keep
        Takes a line: its number, its series, the text.
    max_chars
        How much is kept in all.
    """

    def __init__(self, keep: Keep, *, max_chars: int = MAX_CHARS) -> None:
        self._keep = keep
        self._left_chars = max_chars
        self._number = 0
        self._begun: dict[str, str] = {}
        self._pid = os.getpid()
        # Reentrant: a signal handler may print while a line is being kept. What it prints is not kept then.
        self._lock = threading.RLock()
        self._is_busy = False

    def write(self, series: str, text: str) -> None:
        """Take a piece of text that was written to the stream of `series`; never raises."""
        # A forked child prints to the same terminal, but the experiment belongs to its parent; and the lock may be held over there.
        if os.getpid() != self._pid or self._left_chars <= 0:
            return
        with self._lock:
            if self._is_busy:  # keeping a line printed something
                return
            self._is_busy = True
            try:
                *lines, rest = (self._begun.get(series, "") + text).split("\n")
                for line in lines:
                    self._line(series, line)
                # Progress bars may go on for hours without a line break.
                self._begun[series] = rest if len(rest) <= MAX_LINE_CHARS else shown_line(rest)[:MAX_LINE_CHARS]
            except Exception as error:  # noqa: BLE001  (printing must not fail because of us)
                self._left_chars = 0
                self._begun.clear()
                _notices.log("console", f"ModelBox: printed lines are not kept any more: {type(error).__name__}: {error}")
            finally:
                self._is_busy = False

    def close(self) -> None:
        """Hand on the lines that were begun, and take no more."""
        if os.getpid() == self._pid:
            with self._lock:
                for series, rest in list(self._begun.items()):
                    if rest:
                        self.write(series, "\n")
                self._left_chars = 0

    def _line(self, series: str, line: str) -> None:
        if self._left_chars <= 0:
            return
        text = shown_line(line)
        if len(text) > MAX_LINE_CHARS:
            text = f"{text[:MAX_LINE_CHARS]} …"
        # Every line costs something, the empty ones too.
        self._left_chars -= len(text) + 16
        if self._left_chars <= 0:
            text = "[ModelBox keeps no more of what this experiment prints]"
        number, self._number = self._number, self._number + 1
        self._keep(number, series, text)


def shown_line(line: str) -> str:
    """Return what a terminal shows of a line in the end, as text that can be stored."""
    shown = line.rstrip("\r").rpartition("\r")[2]
    return shown.encode(errors="replace").decode().replace("\0", "\ufffd")


class _Tap:
    """The wrapped ``write`` of one stream, and who listens to it."""

    def __init__(self, series: str, stream: TextIO) -> None:
        self.stream = stream
        self.listeners: tuple[Listener, ...] = ()
        self._series = series
        self._own = vars(stream).get("write")  # somebody else may have wrapped it before
        self._write: Write = stream.write
        # Only this one method is replaced: whoever holds the stream keeps the same object.
        stream.write = self.write  # type: ignore[method-assign]

    def write(self, text: str, /) -> int:
        """Write as before, and let the listeners know."""
        count = self._write(text)
        for listener in self.listeners:
            listener.write(self._series, text)
        return count

    def is_in_place(self) -> bool:
        """Tell whether the stream still has this ``write``."""
        return vars(self.stream).get("write") == self.write

    def remove(self) -> bool:
        """Give the stream its own ``write`` back, unless somebody wrapped it once more: then this one stays, and only passes on."""
        if not self.is_in_place():
            return False
        if self._own is None:
            del self.stream.write
        else:
            self.stream.write = self._own  # type: ignore[method-assign]
        return True


_taps: list[_Tap] = []
_changing = threading.RLock()


def capture(experiment: Experiment) -> Callable[[], None]:
    """Keep what is printed from now on with `experiment`, until what is returned is called."""

    def keep(number: int, series: str, line: str) -> None:
        experiment.log_beside(number, {series: line})

    keeper = LineKeeper(keep)
    forget = listen(keeper)

    def stop() -> None:
        keeper.close()
        forget()

    return stop


def listen(listener: Listener) -> Callable[[], None]:
    """Let `listener` hear what is printed from now on, until what is returned is called."""
    for series, name in CONSOLE_SERIES.items():
        _listen(series, name, listener)
    return lambda: _forget(listener)


def printed_text(blocks: Iterable[SeriesBlock]) -> str:
    """Return the lines of both series in the order in which they were printed."""
    lines: list[tuple[int, str]] = []
    for block in blocks:
        steps = memoryview(block.steps).cast("B").cast("q").tolist()
        lines += zip(steps, cast("Sequence[str]", block.values), strict=True)
    return "".join(f"{line}\n" for _, line in sorted(lines))


def _listen(series: str, name: str, listener: Listener) -> None:
    stream = getattr(sys, name)
    if stream is None:  # a program without a console
        return
    with _changing:
        tap = next((tap for tap in _taps if tap.stream is stream and tap.is_in_place()), None)
        if tap is None:
            try:
                tap = _Tap(series, stream)
            except (AttributeError, TypeError):
                _notices.log(f"tap {name}", f"ModelBox: sys.{name} is a {type(stream).__name__} that cannot be listened to.")
                return
            _taps.append(tap)
        tap.listeners = (*tap.listeners, listener)


def _forget(gone: Listener) -> None:
    with _changing:
        for tap in list(_taps):
            tap.listeners = tuple(listener for listener in tap.listeners if listener is not gone)
            if not tap.listeners:
                tap.remove()
                _taps.remove(tap)


def _begin_anew_in_child() -> None:
    global _changing
    _changing = threading.RLock()
    # The experiments of the parent do not hear what a child prints; only listeners that the child adds do.
    for tap in _taps:
        tap.listeners = ()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
