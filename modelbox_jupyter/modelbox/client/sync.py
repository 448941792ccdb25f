"""Sending on request what earlier processes left, or what another store has: ``modelbox.sync()``."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal, overload

from modelbox.client.connection import ModelBox
from modelbox.client.shared import default_connection
from modelbox.errors import InvalidRequest

if TYPE_CHECKING:
    from modelbox.client.catchup import SyncReport
    from modelbox.client.publish import PublishReport

__all__ = ["sync"]


@overload
def sync(  # type: ignore[overload-overlap]  # a folder of this name is written ./local
    folder: Literal["local"], *, to: str | None = None, query: str | None = None
) -> PublishReport: ...
@overload
def sync(folder: str | os.PathLike[str] | None = None, *, to: str | None = None, timeout_s: float | None = None) -> SyncReport: ...
def sync(
    folder: str | os.PathLike[str] | None = None, *, to: str | None = None, query: str | None = None, timeout_s: float | None = None
) -> SyncReport | PublishReport:
    """Send what processes that have ended left in their journals, or what the local store has.

    Nobody needs to call this for journals: the next process that uses the store, and the Jupyter extension, do the same in the background.

    Parameters
    ----------
    folder
        Journals, as :meth:`ModelBox.sync` takes them; or ``"local"`` for the experiments and models of your own store, with all that hangs
        on them. Experiments keep their ids, only what is lacking is sent, and what you may not write to goes below your home.
    to
        Address of the store to send to, such as ``"shared"`` for the one of a JupyterHub; the one of :func:`modelbox.where` when left out.
    query
        Which experiments of the local store, in the query language; all, and all models, when left out.
    timeout_s
        How long to try to send journals; as long as it takes when left out.

    Examples
    --------
    >>> import modelbox
    >>> modelbox.sync("copied-from-the-cluster/")  # doctest: +SKIP
    SyncReport(journals=1, sent=120000, pending=0, rejected=0)
    >>> modelbox.sync("local", to="shared", query="tags.baseline")  # doctest: +SKIP
    PublishReport(experiments=2, models=0, versions=0, checkpoints=4, events=1, files=3, points=40000)
    """
    if folder != "local" and query is not None:
        raise InvalidRequest("A query is for sync('local'): journals are sent as they are.", field="query")
    with ExitStack() as opened:
        target = default_connection() if to is None else opened.enter_context(ModelBox(to, mode="online"))
        if folder != "local":
            return target.sync(folder, timeout_s=timeout_s)
        from modelbox.client.publish import publish  # numpy, which few calls need

        source = opened.enter_context(ModelBox("local", mode="online"))
        if target.where.address == source.where.address:
            raise InvalidRequest("This leads from the local store to itself: say to which other one, as in to='shared'.", field="to")
        return publish(source.session, target.session, query=query)
