"""Sending what earlier processes left, on request: ``modelbox.sync()``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from modelbox.client.shared import default_connection

if TYPE_CHECKING:
    from modelbox.client.catchup import SyncReport

__all__ = ["sync"]


def sync(folder: str | os.PathLike[str] | None = None, *, timeout_s: float | None = None) -> SyncReport:
    """Send what processes that have ended left in their journals; see :meth:`ModelBox.sync`.

    Nobody needs to call this: the next process that uses the store, and the Jupyter extension, do the same in the background.

    Examples
    --------
    >>> import modelbox
    >>> modelbox.sync("copied-from-the-cluster/")  # doctest: +SKIP
    SyncReport(journals=1, sent=120000, pending=0, rejected=0)
    """
    return default_connection().sync(folder, timeout_s=timeout_s)
