"""Models and their versions to look through, with where each came from, and tags to move from one version to another."""

from collections.abc import Mapping, Sequence
from typing import Any

import traitlets

from modelbox.client.connection import ModelBox
from modelbox.client.model import Model, ModelVersion
from modelbox.client.shared import default_connection
from modelbox.entities.own_keys import is_own_series
from modelbox.entities.records import Json
from modelbox.errors import Conflict, InvalidRequest, NotFound, shortened
from modelbox_widgets.base import Answer, Bundle, NotebookWidget
from modelbox_widgets.text import html_row, html_table, html_view, text_table, value_text

__all__ = ["ModelRegistry"]

_MAX_MODELS = 200
_MAX_DETAILS = 200
_STATIC_ROWS = 100
_HEAD = ("model", "version", "tags", "created", "description")


class ModelRegistry(NotebookWidget, parts=["lists", "model_registry"]):
    """Models, their versions and tags; a tag such as ``production`` is moved by a click, after a question.

    Parameters
    ----------
    namespace
        Only models in this namespace or below it.
    connection
        Where the models are; the shared connection when left out.
    selected_id
        Id of the version whose details are shown; a trait that goes both ways.

    Notes
    -----
    The newest 200 models are shown. `refresh` reads them again.

    Examples
    --------
    >>> registry = modelbox.registry()                               # doctest: +SKIP
    >>> registry.selected.download_artifact("model.joblib")          # doctest: +SKIP
    >>> registry.promote(registry.selected, "production")            # doctest: +SKIP
    """

    selected_id = traitlets.Unicode("").tag(sync=True)

    _models = traitlets.List(trait=traitlets.Dict()).tag(sync=True)
    _note = traitlets.Unicode("").tag(sync=True)

    def __init__(self, namespace: str | None = None, *, connection: ModelBox | None = None, **traits: Any) -> None:
        self._box = connection or default_connection()
        self._namespace = namespace
        self._versions: dict[str, ModelVersion] = {}
        self._names: dict[str, Model] = {}
        super().__init__(**traits)
        self.refresh()

    @property
    def selected(self) -> ModelVersion | None:
        """The version that is chosen in the page."""
        return self._versions.get(self.selected_id)

    @selected.setter
    def selected(self, version: ModelVersion | None) -> None:
        self.selected_id = "" if version is None else version.id

    @traitlets.validate("selected_id")
    def _known(self, proposal: Any) -> str:
        wanted: str = proposal["value"]
        if wanted and self._versions and wanted not in self._versions:
            raise traitlets.TraitError(f"There is no version {shortened(wanted, 60)} here: take the id of one that is shown.")
        return wanted

    def refresh(self) -> None:
        """Read models and versions again."""
        models = self._box.models(self._namespace, limit=_MAX_MODELS + 1)
        self._note = f"the newest {_MAX_MODELS} models" if len(models) > _MAX_MODELS else ""
        shown = [(model, model.model_versions()) for model in models[:_MAX_MODELS]]
        self._names = {model.id: model for model, _ in shown}
        self._versions = {version.id: version for _, versions in shown for version in versions}
        if self.selected_id not in self._versions:
            self.selected_id = ""
        self._models = [_described(model, versions) for model, versions in shown]
        self.update_output()

    def promote(self, version: ModelVersion | str, tag: str) -> ModelVersion:
        """Give a version a tag, which is taken away from the version of its model that has it, and return the version.

        Parameters
        ----------
        version
            One that is shown, or its id.
        tag
            Such as ``"production"``.
        """
        found = self._version(version if isinstance(version, str) else version.id)
        found.tag(tag, move=True)
        self.refresh()
        return self._version(found.id)

    def answer(self, question: str, content: Mapping[str, Json]) -> Answer:
        """Return details of a version, or move or take away a tag, or read everything again."""
        match question, content:
            case "details", {"version": str(version_id)}:
                return self._details(self._version(version_id)), ()
            case "promote", {"version": str(version_id), "tag": str(tag), "holder": str(holder)}:
                self._move(self._version(version_id), tag, holder)
                return {}, ()
            case "untag", {"version": str(version_id), "tag": str(tag)}:
                version = self._version(version_id)
                version.update(tags=[one for one in self._fresh(version).tags if one != tag])
                self.refresh()
                return {}, ()
            case "refresh", _:
                self.refresh()
                return {}, ()
            case "details" | "promote" | "untag", _:
                raise InvalidRequest(f"{question} needs the id of a version, and a tag where one is moved.")
            case _:
                return super().answer(question, content)

    def static_bundle(self) -> tuple[Bundle, Bundle]:
        """Return a table of versions."""
        rows = [
            [
                model["name"],
                version["version"],
                ", ".join(version["tags"]),
                version["created"][:16].replace("T", " "),
                version["description"],
            ]
            for model in self._models
            for version in model["versions"]
            or [{"version": "", "tags": (), "created": model["created"], "description": model["description"]}]
        ]
        count = f"{len(self._names)} models, {len(self._versions)} versions"
        rest = "" if len(rows) <= _STATIC_ROWS else f" · the first {_STATIC_ROWS} are shown"
        table = html_table([(name, "") for name in _HEAD], [html_row([(cell, "") for cell in row]) for row in rows[:_STATIC_ROWS]])
        text = f"{count}\n{text_table(_HEAD, rows[:_STATIC_ROWS])}" if rows else count
        return {"text/plain": text, "text/html": html_view(f'<div class="modelbox-head">{count}{rest}</div>', table if rows else "")}, {}

    def _version(self, version_id: str) -> ModelVersion:
        found = self._versions.get(version_id)
        if found is None:
            raise NotFound(f"There is no version {shortened(version_id, 60)} here: refresh, it may have been deleted.")
        return found

    def _fresh(self, version: ModelVersion) -> ModelVersion:
        """Return the version as the store has it now."""
        versions = {one.id: one for one in self._names[version.model_id].model_versions()}
        if version.id not in versions:
            raise NotFound(f"Version {shortened(version.version, 60)} was deleted meanwhile.")
        return versions[version.id]

    def _move(self, version: ModelVersion, tag: str, holder: str) -> None:
        """Move a tag, if the version that has it is still the one that the person saw having it."""
        now = [one for one in self._names[version.model_id].model_versions() if tag in one.tags]
        if (now[0].id if now else "") != holder:
            place = f"is at version {shortened(now[0].version, 60)}" if now else "is at no version"
            self.refresh()
            raise Conflict(f"The tag {shortened(tag, 60)} {place} by now: look again before you move it.")
        self.promote(version, tag)

    def _details(self, version: ModelVersion) -> dict[str, Json]:
        metadata = [{"key": key, "value": value_text(value)} for key, value in version.metadata().items()]
        metrics = [
            {"key": one.key, **{name: value_text(getattr(one, name)) for name in ("last", "min", "max")}, "points": one.count}
            for one in version.summaries().values()
        ]
        artifacts = [
            {"name": one.name, "size_bytes": one.record.size_bytes, "sha256": one.record.sha256, "storage": str(one.record.storage)}
            for one in version.artifacts
        ]
        return {
            "metadata": metadata[:_MAX_DETAILS],
            "metrics": metrics[:_MAX_DETAILS],
            "artifacts": artifacts[:_MAX_DETAILS],
            "origin": self._origin(version),
        }

    def _origin(self, version: ModelVersion) -> Json:
        """Return the experiment that a version came from: its settings, how it ended, and the checkpoints it left."""
        if version.experiment_id is None:
            return None
        try:
            experiment = self._box.experiment(version.experiment_id)
        except NotFound:
            return {"id": version.experiment_id, "name": "", "status": "deleted", "params": [], "metrics": [], "checkpoints": []}
        summaries = [one for one in experiment.summaries().values() if not is_own_series(one.key)]
        return {
            "id": experiment.id,
            "name": experiment.name,
            "status": str(experiment.status),
            "params": [{"key": key, "value": value_text(value)} for key, value in experiment.params.items()][:_MAX_DETAILS],
            "metrics": [{"key": one.key, "value": value_text(one.last)} for one in summaries][:_MAX_DETAILS],
            "checkpoints": [
                {"epoch": one.epoch, "metrics": ", ".join(f"{key} {value_text(value)}" for key, value in one.metrics.items())}
                for one in experiment.checkpoints()[-_MAX_DETAILS:]
            ],
        }


def _described(model: Model, versions: Sequence[ModelVersion]) -> dict[str, Json]:
    return {
        "id": model.id,
        "name": model.name,
        "namespace": model.namespace,
        "task": model.task,
        "description": model.description,
        "owner": model.owner,
        "created": model.created_at.isoformat(),
        "versions": [
            {
                "id": version.id,
                "version": version.version,
                "name": version.name,
                "description": version.description,
                "framework": version.framework,
                "tags": list(version.tags),
                "created": version.created_at.isoformat(),
            }
            for version in versions
        ],
    }
