"""Models and their versions: what solves a task, and each trained instance of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import UNSET

from modelbox.client.metadata import wire_metadata
from modelbox.client.tracked import TrackedObject
from modelbox.errors import NotFound
from modelbox.wire import routes
from modelbox.wire.messages import ModelUpdate, ModelVersionCreate, ModelVersionUpdate, PageQuery

if TYPE_CHECKING:
    from datetime import datetime

    from modelbox.client.artifacts import PathLike
    from modelbox.client.experiment import Experiment
    from modelbox.client.session import Session
    from modelbox.entities.records import ModelRecord, ModelVersionRecord

__all__ = ["Model", "ModelVersion"]


class Model(TrackedObject):
    """What solves a task. Made by :func:`modelbox.new_model`.

    Parameters
    ----------
    session
        The connection it belongs to.
    record
        What the store knew of it last.
    """

    def __init__(self, session: Session, record: ModelRecord) -> None:
        super().__init__(session, record.id)
        self.record = record

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    @property
    def namespace(self) -> str:
        """Path that it is grouped under."""
        return self.record.namespace

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.record.owner

    @property
    def task(self) -> str:
        """What it is for."""
        return self.record.task

    @property
    def description(self) -> str:
        """What there is to say about it."""
        return self.record.description

    @property
    def created_at(self) -> datetime:
        """When it was created (UTC)."""
        return self.record.created_at

    def new_model_version(
        self,
        version: str,
        name: str = "",
        description: str = "",
        artifacts: Sequence[PathLike] = (),
        metadata: Mapping[str, object] | None = None,
        unique_tags: Iterable[str] = (),
        framework: str = "",
        *,
        experiment: Experiment | str | None = None,
        move_tags: bool = False,
    ) -> ModelVersion:
        """Create a version, or return it if it is there.

        Parameters
        ----------
        version
            ``"1"``, ``"2026-11"`` or any other name; unique within the model together with `name`.
        name, description, framework
            What to know about it.
        artifacts
            Files to track; :meth:`ModelVersion.upload_artifact` keeps their bytes.
        metadata
            Any JSON values by key.
        unique_tags
            Tags such as ``"production"``: at most one version of the model has each.
        experiment
            The experiment that trained it.
        move_tags
            Take the tags away from the version that has them.

        Raises
        ------
        TagTaken
            Another version has one of the tags, and `move_tags` is false.
        """
        body = ModelVersionCreate(
            version=version,
            name=name,
            description=description,
            framework=framework,
            tags=_tags(unique_tags),
            experiment_id=_id_of(experiment),
            metadata=wire_metadata(metadata or {}),
            move_tags=move_tags,
        )
        created = self._session.call(routes.CREATE_MODEL_VERSION, path={"model_id": self._id}, body=body)
        made = ModelVersion(self._session, created.item)
        if artifacts:
            made.track_artifacts(artifacts)
        return made

    def model_versions(self) -> list[ModelVersion]:
        """Return the versions, newest first."""
        records = self._session.every(routes.LIST_MODEL_VERSIONS, PageQuery(), path={"model_id": self._id})
        return [ModelVersion(self._session, record) for record in records]

    versions = model_versions

    def version(self, version_or_tag: str) -> ModelVersion:
        """Return the version of that number, or the one that has that tag.

        Raises
        ------
        NotFound
            There is none; the message says which there are.
        """
        known = self.model_versions()
        # A tag wins over a version of that spelling: moving tags about is what tags are for.
        fitting = [one for one in known if version_or_tag in one.tags]
        fitting += [one for one in known if version_or_tag in {one.version, one.id}]
        if fitting:
            return fitting[0]
        raise NotFound.among("version", version_or_tag, {text for one in known for text in (one.version, *one.tags)})

    def update(self, *, owner: str | None = None, task: str | None = None, description: str | None = None) -> None:
        """Change fields; those left out stay."""
        body = ModelUpdate(
            owner=UNSET if owner is None else owner,
            task=UNSET if task is None else task,
            description=UNSET if description is None else description,
        )
        self.record = self._session.call(routes.UPDATE_MODEL, path={"model_id": self._id}, body=body)

    def delete(self) -> None:
        """Delete it with its versions and everything that hangs on them."""
        self._session.settle()
        self._session.call(routes.DELETE_MODEL, path={"model_id": self._id})

    def __repr__(self) -> str:
        return f"Model({self.name!r}, id={self._id!r}, namespace={self.namespace!r})"


class ModelVersion(TrackedObject):
    """One trained instance of a model. Made by :meth:`Model.new_model_version`.

    Parameters
    ----------
    session
        The connection it belongs to.
    record
        What the store knew of it last.
    """

    def __init__(self, session: Session, record: ModelVersionRecord) -> None:
        super().__init__(session, record.id)
        self.record = record

    @property
    def model_id(self) -> str:
        """Id of its model."""
        return self.record.model_id

    @property
    def version(self) -> str:
        """Its version."""
        return self.record.version

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    @property
    def description(self) -> str:
        """What there is to say about it."""
        return self.record.description

    @property
    def framework(self) -> str:
        """What it was trained with."""
        return self.record.framework

    @property
    def tags(self) -> tuple[str, ...]:
        """Its unique tags."""
        return self.record.tags

    @property
    def experiment_id(self) -> str | None:
        """Id of the experiment that trained it."""
        return self.record.experiment_id

    @property
    def created_at(self) -> datetime:
        """When it was created (UTC)."""
        return self.record.created_at

    def tag(self, *names: str, move: bool = False) -> None:
        """Add unique tags; with `move` they are taken away from the version that has them."""
        self.update(tags=[*self.tags, *names], move_tags=move)

    def update(
        self,
        *,
        description: str | None = None,
        framework: str | None = None,
        tags: Iterable[str] | None = None,
        experiment: Experiment | str | None = None,
        move_tags: bool = False,
    ) -> None:
        """Change fields; those left out stay, and `tags` replaces the whole set."""
        body = ModelVersionUpdate(
            description=UNSET if description is None else description,
            framework=UNSET if framework is None else framework,
            tags=UNSET if tags is None else _tags(tags),
            experiment_id=UNSET if experiment is None else _id_of(experiment),
            move_tags=move_tags,
        )
        self.record = self._session.call(routes.UPDATE_MODEL_VERSION, path={"version_id": self._id}, body=body)

    def delete(self) -> None:
        """Delete it with everything that hangs on it."""
        self._session.settle()
        self._session.call(routes.DELETE_MODEL_VERSION, path={"version_id": self._id})

    def __repr__(self) -> str:
        return f"ModelVersion({self.version!r}, name={self.name!r}, id={self._id!r}, tags={list(self.tags)})"


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    return (tags,) if isinstance(tags, str) else tuple(dict.fromkeys(tags))


def _id_of(experiment: Experiment | str | None) -> str | None:
    return experiment if experiment is None or isinstance(experiment, str) else experiment.id
