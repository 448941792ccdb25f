"""What the exit codes of ``modelbox`` mean."""

from __future__ import annotations

__all__ = ["EXIT_CODES", "INTERRUPTED", "READER_LEFT"]

INTERRUPTED = 130
"""As shells say it of a program that Ctrl-C ended."""

READER_LEFT = 141
"""As shells say it of a program whose output nobody reads any more."""

EXIT_CODES = {
    0: "done",
    1: "it failed: a defect, a broken store, a finding of doctor",
    2: "the command line, a query or a configuration is wrong; nothing was done",
    3: "the server or its storage is away, full or busy; try again later",
    4: "no valid token, or it does not allow this",
    5: "there is no such thing",
    6: "it is there already, or contradicts what is stored",
    7: "bytes arrived damaged, and were not kept",
    INTERRUPTED: "Ctrl-C",
    READER_LEFT: "the program that read the output ended before it was written",
}
"""The table; codes 1 to 7 are those of the classes in :mod:`modelbox.errors`."""
