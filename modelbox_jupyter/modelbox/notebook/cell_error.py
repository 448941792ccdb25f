"""The exception that ended a cell, as it is kept: without the frames of IPython and of ModelBox."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import IPython

from modelbox.client.masking import masked_text

if TYPE_CHECKING:
    from types import TracebackType

    from IPython.core.interactiveshell import InteractiveShell

    from modelbox.entities.records import Json

__all__ = ["CellError"]

_MAX_CHARS = 50_000
_MAX_MESSAGE_CHARS = 4_000
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NOT_THE_USERS = (str(Path(IPython.__file__).parent), str(Path(__file__).parent))


@dataclass(frozen=True, slots=True)
class CellError:
    """An exception.

    Parameters
    ----------
    kind, message
        What it is, and what it says.
    traceback
        As IPython shows it, with colours.
    """

    kind: str
    message: str
    traceback: list[str]

    @classmethod
    def of(cls, shell: InteractiveShell, error: BaseException) -> CellError:
        """Return what `shell` shows of `error`."""
        message = masked_text(str(error))[:_MAX_MESSAGE_CHARS]
        lines = [masked_text(line) for line in _rendered(shell, error)]
        return cls(type(error).__name__, message, lines if sum(map(len, lines)) <= _MAX_CHARS else _shortened(lines))

    def metadata(self) -> dict[str, Json]:
        """Return it as metadata: ``type``, ``message`` and ``traceback``, a text without colours."""
        return {"type": self.kind, "message": self.message, "traceback": _COLOURS.sub("", "\n".join(self.traceback))}

    def output(self) -> dict[str, Json]:
        """Return it as the output of a notebook cell, apart from its type."""
        return {"ename": self.kind, "evalue": self.message, "traceback": self.traceback}


def _rendered(shell: InteractiveShell, error: BaseException) -> list[str]:
    try:
        own = getattr(error, "_render_traceback_", None)
        if own is not None:
            return list(own())
        if isinstance(error, SyntaxError):
            return list(shell.SyntaxTB.structured_traceback(type(error), error, None))
        trace = _users(error.__traceback__)
        return list(shell.InteractiveTB.structured_traceback(type(error), error, trace, tb_offset=0))
    except Exception:  # noqa: BLE001  (an exception may be so odd that it cannot be shown; the cell has ended all the same)
        return [f"{type(error).__name__}: {error}"]


def _users(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that begins in the cell."""
    first = trace
    while first is not None and first.tb_frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        first = first.tb_next
    return first or trace


def _shortened(lines: list[str]) -> list[str]:
    text = "\n".join(lines)
    half = _MAX_CHARS // 2
    return [text[:half], f"[… {len(text) - 2 * half} characters left out by ModelBox …]", text[-half:]]
