"""What a stranger's bytes may be shown as: pictures of four kinds that hold no scripts, text, and tables, told by the bytes themselves."""

import csv
import json
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, TypeAlias

__all__ = ["MAX_IMAGE_BYTES", "MAX_TEXT_BYTES", "Preview", "picture_type", "preview_of"]

MAX_IMAGE_BYTES = 8_000_000
"""Largest picture that is shown."""

MAX_TEXT_BYTES = 200_000
"""How much of a text is shown."""

_MAX_ROWS, _MAX_COLUMNS, _MAX_CELL_CHARS = 200, 50, 200
_TABLES = {".csv": ",", ".tsv": "\t"}

Kind: TypeAlias = Literal["image", "text", "table", "none"]


@dataclass(frozen=True)
class Preview:
    """What can be shown of some bytes.

    Parameters
    ----------
    kind
        How to show it; ``"none"`` when nothing can be shown, and `note` says why.
    note
        A sentence about it, such as that there is more.
    media_type
        Type of a picture.
    text
        Text, shown as it is.
    rows
        Rows of a table, the head first.
    """

    kind: Kind
    note: str = ""
    media_type: str = ""
    text: str = ""
    rows: list[list[str]] = field(default_factory=list)


def picture_type(head: bytes) -> str | None:
    """Return the media type of a picture by its first bytes, whatever its name says; ``None`` for everything else, SVG included."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def preview_of(name: str, head: bytes, *, size_bytes: int) -> Preview:
    """Return what can be shown of a file.

    Parameters
    ----------
    name
        Its name; the end of it tells a table from a text.
    head
        Its first bytes: :data:`MAX_TEXT_BYTES`, or all of a picture.
    size_bytes
        How many it has in all.
    """
    media_type = picture_type(head)
    if media_type is not None:
        if size_bytes > MAX_IMAGE_BYTES:
            return Preview("none", note=f"The picture is too large to show here ({size_bytes} bytes): download it.")
        return Preview("image", media_type=media_type)
    is_cut = size_bytes > MAX_TEXT_BYTES
    text = _text(head[:MAX_TEXT_BYTES], is_cut=is_cut)
    if text is None:
        return Preview("none", note="There is no preview of files of this kind: download it.")
    note = f"The first {MAX_TEXT_BYTES} of {size_bytes} bytes." if is_cut else ""
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    rows = _table(text, suffix, is_cut=is_cut)
    if rows is not None:
        cut = f"The first {len(rows) - 1} rows." if is_cut or len(rows) > _MAX_ROWS else ""
        return Preview("table", note=cut, rows=rows[: _MAX_ROWS + 1])
    if suffix in {".json", ".ipynb"} and not is_cut:
        text = _indented(text)
    return Preview("text", note=note, text=text)


def _text(data: bytes, *, is_cut: bool) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        # A cut may go through a character.
        return data[: error.start].decode("utf-8") if is_cut and error.start >= len(data) - 3 else None


def _table(text: str, suffix: str, *, is_cut: bool) -> list[list[str]] | None:
    if suffix in _TABLES:
        lines = text.splitlines()[:-1] if is_cut else text.splitlines()
        try:
            rows = [
                [cell[:_MAX_CELL_CHARS] for cell in row[:_MAX_COLUMNS]]
                for row in islice(csv.reader(lines, delimiter=_TABLES[suffix]), _MAX_ROWS + 2)
            ]
        except csv.Error:
            return None
        return rows if len(rows) > 1 else None
    if suffix == ".json" and not is_cut:
        try:
            records = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if isinstance(records, list) and records and all(isinstance(record, dict) for record in records):
            names = list(dict.fromkeys(name for record in records[:_MAX_ROWS] for name in record))[:_MAX_COLUMNS]
            return [names, *([_cell(record.get(name)) for name in names] for record in records[: _MAX_ROWS + 1])]
    return None


def _cell(value: object) -> str:
    return "" if value is None else (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:_MAX_CELL_CHARS]


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)[:MAX_TEXT_BYTES]
    except (ValueError, RecursionError):
        return text
