"""Namespaces: made by their first use, listed by name."""

from modelbox.entities.records import NamespaceRecord
from modelbox.wire.messages import Page, PageQuery
from modelbox_server.service.context import Caller
from modelbox_server.service.guarded import Records
from modelbox_server.service.paging import page_of

__all__ = ["NamespacesService"]


class NamespacesService:
    """Tell which namespaces there are."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def list(self, caller: Caller, query: PageQuery) -> Page[NamespaceRecord]:
        """Return namespaces in the order of their names."""
        with self._records.read(caller) as tx:
            return page_of(tx, NamespaceRecord, [], order=None, limit=query.limit, page_token=query.page_token)
