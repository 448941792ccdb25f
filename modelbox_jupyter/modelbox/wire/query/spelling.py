"""From a field back to the words of the language: what a query has to say so that it means this field."""

import re

from modelbox.wire.query.ast import Field, MetadataField, MetricField, RecordField

__all__ = ["quoted", "spelled", "spelled_name"]

_PLAIN = re.compile(r"[^\W\d][\w/-]*")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})


def quoted(text: str) -> str:
    """Return `text` in double quotes, as the language reads it back."""
    return f'"{text.translate(_ESCAPES)}"'


def spelled_name(name: str) -> str:
    """Return a part of a path, in quotes unless it is a plain word."""
    return name if _PLAIN.fullmatch(name) else quoted(name)


def spelled(field: Field) -> str:
    """Return a path that means `field`.

    >>> spelled(MetricField("val/loss @1", "min")), spelled(MetadataField(("params", "lr")))
    ('metrics."val/loss @1".min', 'params.lr')
    """
    match field:
        case RecordField(name):
            return name
        case MetadataField(path):
            parts = path if path[0] in {"params", "tags"} and len(path) > 1 else ("metadata", *path)
            return ".".join([parts[0], *map(spelled_name, parts[1:])])
        case MetricField(key, statistic, step):
            # A bare name means the last value, and a name that ends like a statistic has to say so.
            return f"metrics.{spelled_name(key)}.{statistic}" + (f"({step})" if statistic == "at" else "")
