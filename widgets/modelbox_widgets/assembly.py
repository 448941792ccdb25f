"""Scripts and styles of widgets, put together from small files in ``static/``.

A widget sends its script with every instance, so it is one module without imports, and without the comments that are there for readers. In
the files it is ordinary modules, which TypeScript checks and vitest tests: ``import { h } from "./dom.js"`` is how one part uses another.
Here parts are joined in order, so a top-level name may exist only once among the parts of a widget (a test loads each of them).
"""

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["script_of", "style_of"]

_STATIC = Path(__file__).parent / "static"
_IMPORT = re.compile(r'^import [^;]*? from "\./[\w.]+";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default )", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(?:/\*(?:(?!\*/).)*\*/[ \t]*|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
_INDENT_AND_BLANK = re.compile(r"^[ \t]+|^\n", re.MULTILINE)


def script_of(parts: Sequence[str]) -> str:
    """Return one JavaScript module made of `parts`, names of files without ``.js``; the last has the default export."""
    return "".join(_EXPORT.sub("", _IMPORT.sub("", _bare(f"{part}.js"))) for part in parts)


def style_of(parts: Sequence[str]) -> str:
    """Return one style sheet made of those of `parts` that have one."""
    return "".join(_bare(f"{part}.css") for part in parts if (_STATIC / f"{part}.css").is_file())


def _bare(name: str) -> str:
    """Return a file without comments and indentation; neither may matter inside its strings."""
    text = (_STATIC / name).read_text(encoding="utf-8")
    return _INDENT_AND_BLANK.sub("", _COMMENT.sub("", text))
