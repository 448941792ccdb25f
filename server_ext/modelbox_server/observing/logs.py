"""Log lines that say which request they belong to, as text for people or as JSON for programs."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["LOG_FORMATS", "REQUEST_ID", "log_to"]

LOG_FORMATS: Final = ("text", "json")

REQUEST_ID: ContextVar[str] = ContextVar("modelbox_request_id", default="")
"""Identity of the call that this task or thread works for; empty where there is none."""


class _JsonLines(logging.Formatter):
    """A line of JSON for each record: time, level, logger, message, request id, then the fields that go with it."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _TextLines(logging.Formatter):
    """A line for people. Line breaks and control characters of others are shown, not obeyed."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().isoformat(sep=" ", timespec="milliseconds")
        request_id = REQUEST_ID.get()
        message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in record.getMessage())
        fields = "".join(f" {name}={value!r}" for name, value in getattr(record, "fields", {}).items() if name not in {"route", "outcome"})
        line = f"{at} {record.levelname} {record.name}: {message}{fields}{f' [{request_id}]' if request_id else ''}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def log_to(stream: TextIO, log_format: str, level: str) -> None:
    """Send what the program logs from `level` on to `stream`, in one of :data:`LOG_FORMATS`.

    Tornado's own access log stays out, as ours says more, and so do its words on callers that speak neither HTTP nor TLS as we do, unless
    `level` is ``debug``.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLines() if log_format == "json" else _TextLines())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
    logging.getLogger("tornado.general").setLevel(logging.NOTSET if level == "debug" else logging.ERROR)
