"""What hangs on many objects at once: one list where a table would need a request per object."""

from typing import Final, TypeVar

from modelbox.entities.records import ArtifactRecord, CheckpointRecord, EventRecord, ModelVersionRecord, Record
from modelbox.errors import InvalidRequest
from modelbox.wire.messages import OfObjectsQuery, Page
from modelbox_server.service.context import Caller
from modelbox_server.service.guarded import Records
from modelbox_server.service.paging import page_of
from modelbox_server.storage.interfaces import Condition

__all__ = ["HangingService"]

R = TypeVar("R", bound=Record)

_OWNERS: Final[dict[type[Record], str]] = {
    CheckpointRecord: "experiment_id",
    ModelVersionRecord: "model_id",
    EventRecord: "parent_id",
    ArtifactRecord: "parent_id",
}
_MAX_OBJECTS: Final = 1_000


class HangingService:
    """List records of one kind by what they hang on."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def find(self, caller: Caller, kind: type[R], query: OfObjectsQuery) -> Page[R]:
        """Return one page of the records that hang on the objects of the query, or on any; by id, as that order takes no sorting.

        An object that is not there has nothing hanging on it.

        Raises
        ------
        InvalidRequest
            It names more than 1,000 objects.
        """
        where: list[Condition] = []
        if query.objects is not None:
            ids = sorted({object_id.strip() for object_id in query.objects.split(",") if object_id.strip()})
            if len(ids) > _MAX_OBJECTS:
                raise InvalidRequest(
                    f"objects names {len(ids)} objects: ask for at most {_MAX_OBJECTS} at a time.", field="objects", limit=str(_MAX_OBJECTS)
                )
            where.append(Condition(_OWNERS[kind], "in", ids))
        with self._records.read(caller) as tx:
            return page_of(tx, kind, where, order=None, limit=query.limit, page_token=query.page_token)
