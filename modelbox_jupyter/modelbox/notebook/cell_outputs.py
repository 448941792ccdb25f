"""What a cell shows while it runs, kept as the outputs of a notebook cell: printed text, displays, the value of the last line, the error.

Everything is bounded: :data:`MAX_OUTPUT_BYTES` for one representation, :data:`MAX_TOTAL_BYTES` for all of a cell. What is too large gives
way to a line that says so; the display in the notebook itself never changes.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from modelbox.client import console

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from modelbox.entities.records import Json

__all__ = ["MAX_OUTPUT_BYTES", "MAX_TOTAL_BYTES", "OutputKeeper", "notebook_of"]

MAX_OUTPUT_BYTES = 1_000_000
MAX_TOTAL_BYTES = 8_000_000
_MAX_OUTPUTS = 1_000

# What a viewer of notebooks can show without the kernel that made it; a widget is kept as the other representations of its display.
_KEPT_TYPES = ("text/", "image/", "application/json", "application/vnd.vega", "application/vnd.plotly", "application/geo+json")
# Displays of our own, such as the live chart, are drawn from what the experiment keeps anyway.
_OWN_DISPLAYS = "modelbox-"


class OutputKeeper:
    """Listens to the outputs of a shell.

    Parameters
    ----------
    shell
        The shell; what it displays it displays as before.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._outputs: list[dict[str, Json]] = []
        self._by_display: dict[str, dict[str, Json]] = {}
        self._left_bytes = MAX_TOTAL_BYTES
        self._lock = threading.RLock()
        self._undo: list[Callable[[], None]] = []
        self._is_echo = False
        self.is_over = False

    def start(self) -> None:
        """Begin to listen."""
        publisher, hook = self._shell.display_pub, self._shell.displayhook
        publish, clear = publisher.publish, publisher.clear_output
        begin, write, finish = hook.start_displayhook, hook.write_format_data, hook.finish_displayhook

        def published(data: Mapping[str, object], metadata: Mapping[str, object] | None = None, *rest: object, **named: object) -> None:
            publish(data, metadata, *rest, **named)
            transient = named.get("transient")
            display_id = transient.get("display_id") if isinstance(transient, Mapping) else None
            self._display(data, metadata, display_id, update=bool(named.get("update")))

        def cleared(*arguments: object, **named: object) -> None:
            clear(*arguments, **named)  # type: ignore[no-untyped-call]
            with self._lock:
                self._outputs.clear()
                self._by_display.clear()

        # A terminal prints the value of the last line: it is kept once, as a value.
        def began() -> None:
            self._is_echo = True
            begin()  # type: ignore[no-untyped-call]

        def finished() -> None:
            finish()  # type: ignore[no-untyped-call]
            self._is_echo = False

        def written(format_dict: Mapping[str, object], md_dict: Mapping[str, object] | None = None) -> None:
            write(format_dict, md_dict)
            self._add({"output_type": "execute_result", "execution_count": None, **self._bundle(format_dict, md_dict)})

        self._undo = [
            _replace(publisher, "publish", published),
            _replace(publisher, "clear_output", cleared),
            _replace(hook, "start_displayhook", began),
            _replace(hook, "write_format_data", written),
            _replace(hook, "finish_displayhook", finished),
            console.listen(self),
        ]

    def stop(self) -> None:
        """Stop listening; doing so twice changes nothing."""
        self.is_over = True
        undo, self._undo = self._undo, []
        for step in reversed(undo):
            step()

    def write(self, series: str, text: str) -> None:
        """Take a piece of printed text; see :class:`modelbox.client.console.Listener`."""
        name = console.CONSOLE_SERIES[series]
        with self._lock:
            if self._is_echo or not text or not self._pay(len(text)):
                return
            last = self._outputs[-1] if self._outputs else {}
            if last.get("output_type") == "stream" and last["name"] == name:
                last["text"].append(text)
            else:
                self._add({"output_type": "stream", "name": name, "text": [text]})

    def outputs(self) -> list[dict[str, Json]]:
        """Return what was heard, as outputs of a notebook cell."""
        with self._lock:
            return [{**output, "text": _shown("".join(output["text"]))} if "text" in output else dict(output) for output in self._outputs]

    def _display(self, data: Mapping[str, object], metadata: Mapping[str, object] | None, display_id: object, *, update: bool) -> None:
        if isinstance(display_id, str) and display_id.startswith(_OWN_DISPLAYS):
            return
        with self._lock:
            known = self._by_display.get(display_id) if isinstance(display_id, str) else None
            if update:
                if known is not None:
                    known.update(self._bundle(data, metadata))
                return
            output = {"output_type": "display_data", **self._bundle(data, metadata)}
            self._add(output)
            if isinstance(display_id, str):
                self._by_display[display_id] = output

    def _add(self, output: dict[str, Json]) -> None:
        with self._lock:
            if len(self._outputs) < _MAX_OUTPUTS:
                self._outputs.append(output)

    def _bundle(self, data: Mapping[str, object], metadata: Mapping[str, object] | None) -> dict[str, Json]:
        kept: dict[str, Json] = {}
        for kind, value in data.items():
            if not kind.startswith(_KEPT_TYPES):
                continue
            plain = base64.b64encode(value).decode() if isinstance(value, bytes) else value
            try:
                size_bytes = len(json.dumps(plain, allow_nan=False))
            except (TypeError, ValueError):  # nothing that a notebook can hold
                continue
            if size_bytes <= MAX_OUTPUT_BYTES and self._pay(size_bytes):
                kept[kind] = plain
            elif kind == "text/plain":
                kept[kind] = f"{str(plain)[:1000]} … [ModelBox kept the first 1000 of {len(str(plain))} characters]"
        if "text/plain" not in kept:
            kept["text/plain"] = "[ModelBox kept nothing of this output: it is too large, or shown by a widget]"
        described = {kind: value for kind, value in (metadata or {}).items() if kind in kept and _is_json(value)}
        return {"data": kept, "metadata": described}

    def _pay(self, size_bytes: int) -> bool:
        """Take `size_bytes` from what may be kept in all, and tell whether there was enough."""
        if self._left_bytes < 0:
            return False
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            note = "\n[ModelBox keeps no more of what this cell shows]\n"
            self._outputs.append({"output_type": "stream", "name": "stderr", "text": [note]})
            return False
        return True


def notebook_of(
    source: str, outputs: list[dict[str, Json]], *, cell_id: str, execution_count: int | None, error: dict[str, Json] | None
) -> dict[str, Json]:
    """Return a notebook (nbformat 4.5) of one cell with its outputs.

    Parameters
    ----------
    source
        The cell as it was written.
    outputs
        What it showed.
    cell_id, execution_count
        As which cell it ran.
    error
        The exception that ended it: ``ename``, ``evalue`` and ``traceback``, a list of lines.
    """
    numbered = [{**output, "execution_count": execution_count} if "execution_count" in output else output for output in outputs]
    last = [] if error is None else [{"output_type": "error", **error}]
    cell: dict[str, Json] = {
        "cell_type": "code",
        "id": cell_id,
        "metadata": {},
        "execution_count": execution_count,
        "source": source,
        "outputs": [*numbered, *last],
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": about, "cells": [cell]}


def _shown(text: str) -> str:
    return "\n".join(map(console.shown_line, text.split("\n")))


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _replace(owner: object, name: str, replacement: Callable[..., None]) -> Callable[[], None]:
    """Put `replacement` before a method of one object, and return how to take it away again."""
    own = vars(owner).get(name)  # somebody else may have replaced it before
    setattr(owner, name, replacement)

    def restore() -> None:
        if vars(owner).get(name) is not replacement:
            return
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)

    return restore
