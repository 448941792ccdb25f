"""Metadata of an object: JSON values by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, overload

from modelbox.client.operations import operation
from modelbox.client.values import plain_json
from modelbox.entities.checks import checked_metadata
from modelbox.entities.values import checked_json, json_from_wire, json_to_wire
from modelbox.errors import InvalidRequest, shortened
from modelbox.wire import routes
from modelbox.wire.messages import MetadataDelete, MetadataDocument

if TYPE_CHECKING:
    from modelbox.client.session import Session
    from modelbox.entities.records import Json

__all__ = ["MetadataMixin", "wire_metadata"]


class MetadataMixin:
    """Metadata of an object."""

    _session: Session
    _id: str

    @overload
    def update_metadata(self, key: str, value: object) -> None: ...

    @overload
    def update_metadata(self, key: Mapping[str, object]) -> None: ...

    def update_metadata(self, key: str | Mapping[str, object], value: object = None) -> None:
        """Set one key, or all keys of a dict; other keys stay, and numbers stay numbers. Never waits for the store, nor raises for outages.

        Numpy scalars, small arrays, paths, dates, enums and dataclasses become plain data.

        Raises
        ------
        InvalidRequest
            A value is no JSON, or a key breaks the rules of names.

        Examples
        --------
        >>> import modelbox.testing
        >>> with modelbox.testing.memory_connection() as box:
        ...     run = box.new_experiment("demo")
        ...     run.update_metadata("dataset/size", 50_000)
        ...     run.metadata()
        {'dataset/size': 50000}
        """
        document = dict(key) if isinstance(key, Mapping) else {key: value}
        body = MetadataDocument(metadata=wire_metadata(document))
        self._before_update(document)
        self._session.submit(operation(routes.UPDATE_METADATA, path={"object_id": self._id}, body=body))

    def metadata(self) -> dict[str, Json]:
        """Return all metadata by key."""
        document = self._session.call(routes.GET_METADATA, path={"object_id": self._id})
        return {key: json_from_wire(value) for key, value in sorted(document.metadata.items())}

    def delete_metadata(self, key: str) -> bool:
        """Delete one key, and return whether it was there."""
        return bool(self._session.call(routes.DELETE_METADATA, path={"object_id": self._id}, query=MetadataDelete(key=key)).deleted)

    def _before_update(self, document: dict[str, object]) -> None:
        """Look at what is about to be set; experiments mind their parameters here."""


def wire_metadata(document: Mapping[str, object]) -> dict[str, Json]:
    """Return metadata as it travels: plain JSON, with NaN and infinities spelled out."""
    for key in document:
        if not isinstance(key, str):
            raise InvalidRequest(f"The metadata key {shortened(key, 40)} is {type(key).__name__}: keys are text.", field="metadata")
    plain = {key: checked_json(plain_json(value), field=key) for key, value in document.items()}
    return {key: json_to_wire(value) for key, value in checked_metadata(plain).items()}
