"""Keys that ModelBox itself logs under, beside those that people choose.

Series under :data:`SYSTEM_PREFIX` say what the machine did and those under :data:`CONSOLE_PREFIX` what the program printed. They are
ordinary series, but they are not what an experiment is about: charts leave them out unless somebody asks for them by name.
"""

__all__ = [
    "CELL_ERROR",
    "CELL_SOURCE",
    "CONSOLE_PREFIX",
    "LONG_METADATA",
    "OWN_PREFIXES",
    "PACKAGES",
    "PATCH",
    "SYSTEM_PREFIX",
    "is_own_series",
]

SYSTEM_PREFIX = "system/"
"""Series of system metrics."""

CONSOLE_PREFIX = "console/"
"""Series of printed lines."""

OWN_PREFIXES = (SYSTEM_PREFIX, CONSOLE_PREFIX)
"""What the keys of all these series begin with."""

PACKAGES, PATCH, CELL_SOURCE, CELL_ERROR = "environment.packages", "git.diff", "cell.source", "cell.error"
"""Installed packages, uncommitted changes; the text of a cell that is an experiment, and the exception that ended it."""

LONG_METADATA = (PACKAGES, PATCH, CELL_SOURCE, CELL_ERROR)
"""Metadata that may be too long for a cell of a table: tables of runs leave them out unless asked."""


def is_own_series(key: str) -> bool:
    """Tell whether `key` is one that ModelBox logs under by itself."""
    return key.startswith(OWN_PREFIXES)
