"""How far long reads and transfers are, for whoever shows it.

A task tells its progress; nothing is shown before it has taken :data:`DELAY_S`, so short ones cost a look at the clock. What is shown, and
whether anything is, decides the observer: by default :mod:`modelbox.notebook.progress`, loaded when the first task takes that long.

Thread safety: a task belongs to the thread that began it. Tasks within a task of the same thread are parts of it.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from modelbox.client.notices import Notices

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["DELAY_S", "Bar", "Observer", "Task", "advance", "observe", "task", "waiting", "waiting_for_many"]

DELAY_S = 0.5
"""What is over sooner is not worth a bar."""

_DEFAULT = "modelbox.notebook.progress:bar"
_TICK_S = 0.5
_notices = Notices()

Unit: TypeAlias = Literal["B", "runs"]


class Bar(Protocol):
    """Shows how far one task is."""

    def show(self, done: int) -> None:
        """Show that so many units are done; called often."""
        ...

    def close(self) -> None:
        """Show that nothing more comes."""
        ...


Observer: TypeAlias = Callable[[str, int | None, Unit, float], Bar | None]
"""Makes the bar of a task: what it does, how many units it has in all (``None``: nobody knows), which units, and how many seconds it has
been going on; ``None`` where nothing is to be shown."""

_observer: Observer | None = None
_current: contextvars.ContextVar[Task | None] = contextvars.ContextVar("modelbox-progress", default=None)


def observe(observer: Observer) -> Callable[[], None]:
    """Let `observer` show progress instead of the default, until what is returned is called."""
    global _observer
    before, _observer = _observer, observer

    def stop() -> None:
        global _observer
        _observer = before

    return stop


class Task:
    """Something that may take long.

    Parameters
    ----------
    label
        What it does, such as ``"Uploading model.bin"``.
    total
        How many units there are; ``None`` where that is not known.
    unit
        Bytes, or runs.
    """

    def __init__(self, label: str, total: int | None, unit: Unit) -> None:
        self._label, self._total = label, total
        self._unit: Unit = unit
        self._begin_s = time.monotonic()
        self._done = 0
        self._bar: Bar | None = None
        self._is_settled = False
        self._lock = threading.Lock()

    def advance(self, count: int) -> None:
        """Note that `count` more units are done; fewer are after a transfer that begins anew."""
        self._done += count
        self.look()

    def look(self) -> None:
        """Show the bar if it is time for one, and what is done; never raises."""
        if self._bar is None and (self._is_settled or time.monotonic() - self._begin_s < DELAY_S):
            return
        with self._lock:
            try:
                if not self._is_settled:
                    self._is_settled = True
                    observer = _observer or _default_observer()
                    self._bar = observer(self._label, self._total, self._unit, time.monotonic() - self._begin_s)
                if self._bar is not None:
                    self._bar.show(self._done)
            except Exception as error:  # noqa: BLE001  (a picture that fails must not end a transfer)
                self._give_up(error)

    def close(self) -> None:
        """Note that it is over."""
        with self._lock:
            self._is_settled = True
            bar, self._bar = self._bar, None
            if bar is not None:
                try:
                    bar.close()
                except Exception as error:  # noqa: BLE001  (likewise)
                    self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._bar = None
        _notices.log("progress", f"ModelBox: progress is not shown any more: {type(error).__name__}: {error}")


@contextmanager
def task(label: str, total: int | None, unit: Unit = "B") -> Iterator[Task]:
    """Do something that may take long; within another task it is a part of that."""
    outer = _current.get()
    if outer is not None:
        yield outer
        return
    begun = Task(label, total, unit)
    token = _current.set(begun)
    try:
        yield begun
    finally:
        _current.reset(token)
        begun.close()


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """Do something of which nobody hears before it is done: a thread looks at the clock meanwhile."""
    with task(label, None) as begun:
        over = threading.Event()
        context = contextvars.copy_context()  # by which a kernel knows the cell of an output

        def tick() -> None:
            while not over.wait(_TICK_S):
                begun.look()

        threading.Thread(target=context.run, args=(tick,), name="modelbox-progress", daemon=True).start()
        try:
            yield
        finally:
            over.set()


def waiting_for_many(count: int, label: str) -> AbstractContextManager[None]:
    """Return :func:`waiting` where so many objects are asked for that it may take long; a thread costs more than a short answer."""
    return waiting(label) if count >= _MANY else nullcontext()


_MANY = 20


def advance(count: int) -> None:
    """Note that `count` more units of the task of this thread are done, if there is one."""
    current = _current.get()
    if current is not None:
        current.advance(count)


def _default_observer() -> Observer:
    module, _, name = _DEFAULT.partition(":")
    return cast(Observer, getattr(import_module(module), name))
