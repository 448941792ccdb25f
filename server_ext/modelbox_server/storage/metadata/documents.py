"""The metadata of each object as one row more: what a table of runs reads instead of a row per key.

A document is made of the rows of the table ``metadata``, in the transaction that changes them, and says nothing that those do not say: an
object may well be without one, and what reads it puts it together on the fly then. Documents are without
:data:`~modelbox.entities.own_keys.LONG_METADATA`; when that changes, a migration must make them anew.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import sqlalchemy as sa

from modelbox.entities.own_keys import LONG_METADATA
from modelbox.entities.records import MetadataEntry
from modelbox_server.storage.metadata.statements import Column, Test
from modelbox_server.storage.metadata.tables import DOCUMENTS, SQL_TABLES
from modelbox_server.storage.rows import Cell

__all__ = ["made_anew", "stored"]

IsIn: TypeAlias = Callable[[Column, tuple[Cell, ...]], Test]

_MAX_CHARS = 1 << 16
"""An object with more has no document: making it anew with every change would take longer than it ever saves."""


def stored(object_ids: Iterable[Cell], is_in: IsIn) -> sa.Select[Any]:
    """Return the statement that gives the documents that these objects have, as ``(object_id, document)``."""
    columns: list[sa.ColumnElement[Any]] = [DOCUMENTS.c.object_id, DOCUMENTS.c.document]
    return sa.select(*columns).where(is_in(DOCUMENTS.c.object_id, tuple(object_ids)))


def made_anew(object_ids: Iterable[Cell], is_in: IsIn, documents: sa.Select[Any]) -> tuple[sa.Delete, sa.Insert]:
    """Return the statements that make the documents of these objects anew; `documents` puts those of all together."""
    ids, entries = tuple(object_ids), SQL_TABLES[MetadataEntry].c
    chosen = (is_in(entries.object_id, ids), entries.key.not_in(LONG_METADATA))
    # Asked for by itself: MySQL would fail to join what is too large before it looks how large it is.
    small = sa.select(entries.object_id).where(*chosen).group_by(entries.object_id)
    small = small.having(sa.func.sum(sa.func.length(entries.value)) <= _MAX_CHARS)
    short = documents.where(*chosen, entries.object_id.in_(small))
    return (
        sa.delete(DOCUMENTS).where(is_in(DOCUMENTS.c.object_id, ids)),
        sa.insert(DOCUMENTS).from_select(["object_id", "document"], short),
    )
