"""Trouble that is ours, not the user's: one line, never a traceback in a training cell."""

from collections.abc import Iterator
from contextlib import contextmanager

from modelbox.client.notices import Notices
from modelbox.errors import ModelBoxError

__all__ = ["notices", "quietly"]

notices = Notices()
"""Remembers what was said, so that it is said once."""


@contextmanager
def quietly(what: str) -> Iterator[None]:
    """Turn an error that ModelBox raises on purpose inside the block into one line of the log that begins with `what`."""
    try:
        yield
    except ModelBoxError as error:
        notices.log(what, f"ModelBox: {what}: {error}")
