"""Progress bars, in a notebook and in a terminal: what tqdm says, where people look.

In a notebook the bar is an ordinary output rather than a widget: it is still there, and complete, when the kernel is gone. Nothing is shown
where nobody looks (a file, a pipe, a job), without tqdm, and with ``MODELBOX_PROGRESS=0``.
"""

from __future__ import annotations

import os
import sys
import time
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from modelbox.notebook.display import Output

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from modelbox.client.progress import Bar, Unit

__all__ = ["NotebookBar", "TerminalBar", "bar"]

_REDRAWN_S = 0.2
_COLUMNS = 100
_OFF = frozenset({"0", "false", "no", "off"})


def bar(label: str, total: int | None, unit: Unit, elapsed_s: float) -> Bar | None:
    """Return the bar of a task where somebody would see it; see :data:`modelbox.client.progress.Observer`."""
    if os.environ.get("MODELBOX_PROGRESS", "").strip().lower() in _OFF:
        return None
    try:
        tqdm = import_module("tqdm.std").tqdm
    except ImportError:
        return None
    shell = _shell()
    if shell is not None and hasattr(shell, "kernel"):
        return NotebookBar(shell, tqdm, label, total, unit, elapsed_s)
    if sys.stderr is not None and sys.stderr.isatty():
        return TerminalBar(tqdm, label, total, unit, elapsed_s)
    return None


class TerminalBar:
    """A line on stderr that goes away when the task is over.

    Parameters
    ----------
    tqdm
        The class.
    label, total, unit, elapsed_s
        Of the task; see :data:`modelbox.client.progress.Observer`.
    """

    def __init__(self, tqdm: Any, label: str, total: int | None, unit: Unit, elapsed_s: float) -> None:
        self._bar = tqdm(desc=_plain(label), total=total, unit=_unit(unit), unit_scale=unit == "B", leave=False, file=sys.stderr)
        self._bar.start_t -= elapsed_s

    def show(self, done: int) -> None:
        """Show that so many units are done."""
        is_first = not self._bar.n
        self._bar.update(done - self._bar.n)
        if is_first:  # the line begins where the task is, half a second after its start
            self._bar.refresh()

    def close(self) -> None:
        """Take the line away."""
        self._bar.close()


class NotebookBar:
    """An output of the cell.

    Parameters
    ----------
    shell
        Where to display.
    tqdm
        The class that words how far it is.
    label, total, unit, elapsed_s
        Of the task; see :data:`modelbox.client.progress.Observer`.
    """

    def __init__(self, shell: InteractiveShell, tqdm: Any, label: str, total: int | None, unit: Unit, elapsed_s: float) -> None:
        self._output = Output(shell)
        self._tqdm, self._label, self._total = tqdm, _plain(label), total
        self._unit: Unit = unit
        self._begin_s = time.monotonic() - elapsed_s
        self._drawn_s = 0.0
        self._done = 0

    def show(self, done: int) -> None:
        """Show that so many units are done, some times a second."""
        self._done = done
        if time.monotonic() - self._drawn_s >= _REDRAWN_S:
            self._draw()

    def close(self) -> None:
        """Leave what came of it."""
        self._draw()

    def _draw(self) -> None:
        self._drawn_s = time.monotonic()
        words = {"unit": _unit(self._unit), "unit_scale": self._unit == "B"}
        elapsed_s = self._drawn_s - self._begin_s
        text = self._tqdm.format_meter(self._done, self._total, elapsed_s, ncols=_COLUMNS, prefix=self._label, **words)
        numbers = self._tqdm.format_meter(
            self._done, self._total, elapsed_s, bar_format="{n_fmt}/{total_fmt}, {elapsed}, {rate_fmt}", **words
        )
        told = numbers if self._total else text.removeprefix(f"{self._label}: ")
        meter = f'<progress max="{self._total}" value="{min(self._done, self._total)}"></progress> ' if self._total else ""
        self._output.show({"text/plain": text, "text/html": f"<div>{escape(self._label)} {meter}{escape(told)}</div>"}, {})


def _plain(label: str) -> str:
    """Return a label, which has the name of a file in it, on one line that is not too long."""
    text = "".join(char if char.isprintable() else "·" for char in label)
    return text if len(text) <= 50 else f"{text[:49]}…"


def _unit(unit: Unit) -> str:
    return unit if unit == "B" else f" {unit}"


def _shell() -> InteractiveShell | None:
    """Return the shell of this process, if it is a notebook or an IPython; nothing is imported for it."""
    module = sys.modules.get("IPython.core.interactiveshell")
    shell = module.InteractiveShell if module is not None else None
    return shell.instance() if shell is not None and shell.initialized() else None
