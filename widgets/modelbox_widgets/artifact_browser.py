"""The files of an object: what they are, what is in them, and how to get them."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import traitlets

from modelbox.client.artifacts import Artifact
from modelbox.client.files import target_path
from modelbox.client.tracked import TrackedObject
from modelbox.entities.records import ArtifactStorage, Json
from modelbox.errors import InvalidRequest, NotFound, TooLarge, shortened
from modelbox_widgets.base import Answer, Bundle, NotebookWidget
from modelbox_widgets.previews import MAX_IMAGE_BYTES, MAX_TEXT_BYTES, picture_type, preview_of
from modelbox_widgets.text import html_row, html_table, html_view, text_table

__all__ = ["ArtifactBrowser", "size_text"]

_MAX_ARTIFACTS = 2000
_MAX_BROWSER_BYTES = 100_000_000
_STATIC_ROWS = 100
_HEAD = ("artifact", "size", "kept", "sha256")


class ArtifactBrowser(NotebookWidget, parts=["lists", "artifact_browser"]):
    """The artifacts of an experiment, checkpoint, model or version: list, preview, download.

    Pictures (PNG, JPEG, GIF, WebP, told by their bytes), text and tables (CSV, JSON) are previewed, all within bounds. Nothing of a file
    ever becomes part of the page as HTML or SVG.

    Parameters
    ----------
    subject
        Whose artifacts.
    selected_id
        Id of the artifact that is shown; a trait that goes both ways.

    Examples
    --------
    >>> browser = ArtifactBrowser(exp)       # doctest: +SKIP
    >>> browser.selected.read_bytes()        # doctest: +SKIP
    """

    selected_id = traitlets.Unicode("").tag(sync=True)

    _artifacts = traitlets.List(trait=traitlets.Dict()).tag(sync=True)
    _note = traitlets.Unicode("").tag(sync=True)

    def __init__(self, subject: TrackedObject, **traits: Any) -> None:
        if not isinstance(subject, TrackedObject):
            raise InvalidRequest(f"{shortened(subject, 40)} has no artifacts: give an experiment, a checkpoint, a model or a version.")
        self._subject = subject
        self._known: dict[str, Artifact] = {}
        super().__init__(**traits)
        self.refresh()

    @property
    def selected(self) -> Artifact | None:
        """The artifact that is chosen in the page."""
        return self._known.get(self.selected_id)

    @selected.setter
    def selected(self, artifact: Artifact | None) -> None:
        self.selected_id = "" if artifact is None else artifact.id

    @traitlets.validate("selected_id")
    def _is_known(self, proposal: Any) -> str:
        wanted: str = proposal["value"]
        if wanted and self._known and wanted not in self._known:
            raise traitlets.TraitError(f"There is no artifact {shortened(wanted, 60)} here: take the id of one that is shown.")
        return wanted

    def refresh(self) -> None:
        """Read the list again."""
        artifacts = self._subject.artifacts
        self._note = f"the first {_MAX_ARTIFACTS} of {len(artifacts)}" if len(artifacts) > _MAX_ARTIFACTS else ""
        self._known = {artifact.id: artifact for artifact in artifacts[:_MAX_ARTIFACTS]}
        if self.selected_id not in self._known:
            self.selected_id = ""
        self._artifacts = [_described(artifact) for artifact in self._known.values()]
        self.update_output()

    def answer(self, question: str, content: Mapping[str, Json]) -> Answer:
        """Return a preview, save a file beside the notebook, or hand its bytes to the browser."""
        match question, content:
            case "preview", {"artifact": str(artifact_id)}:
                return self._preview(self._artifact(artifact_id))
            case "save", {"artifact": str(artifact_id)}:
                return {"path": str(_saved(self._artifact(artifact_id)))}, ()
            case "content", {"artifact": str(artifact_id)}:
                return _content(self._artifact(artifact_id))
            case "refresh", _:
                self.refresh()
                return {}, ()
            case "preview" | "save" | "content", _:
                raise InvalidRequest(f"{question} needs the id of an artifact.")
            case _:
                return super().answer(question, content)

    def static_bundle(self) -> tuple[Bundle, Bundle]:
        """Return a table of the artifacts."""
        rows = [[one["name"], size_text(one["size_bytes"]), one["storage"], one["sha256"][:12]] for one in self._artifacts]
        total = sum(one["size_bytes"] or 0 for one in self._artifacts)
        caption = f"{len(rows)} {'artifact' if len(rows) == 1 else 'artifacts'}, {size_text(total)}" if rows else "no artifacts"
        table = html_table([(name, "") for name in _HEAD], [html_row([(cell, "") for cell in row]) for row in rows[:_STATIC_ROWS]])
        text = f"{caption}\n{text_table(_HEAD, rows[:_STATIC_ROWS])}" if rows else caption
        return {"text/plain": text, "text/html": html_view(f'<div class="modelbox-head">{caption}</div>', table if rows else "")}, {}

    def _preview(self, artifact: Artifact) -> Answer:
        if artifact.record.storage is ArtifactStorage.TRACKED:
            return {"kind": "none", "note": f"Only a reference is kept. The file is at {shortened(artifact.record.uri, 500)}"}, ()
        size_bytes = artifact.record.size_bytes or 0
        looks_like_picture = artifact.record.media_type.startswith("image/") and size_bytes <= MAX_IMAGE_BYTES
        head = self._head(artifact, MAX_IMAGE_BYTES if looks_like_picture else MAX_TEXT_BYTES)
        if picture_type(head) and len(head) < size_bytes <= MAX_IMAGE_BYTES:
            head = self._head(artifact, MAX_IMAGE_BYTES)
        preview = preview_of(artifact.name, head, size_bytes=size_bytes)
        shown = {"kind": preview.kind, "note": preview.note, "text": preview.text, "rows": preview.rows, "media_type": preview.media_type}
        return shown, [head] if preview.kind == "image" else []

    def _head(self, artifact: Artifact, limit_bytes: int) -> bytes:
        """Return the first bytes of an artifact; no more are read than are wanted."""
        return b"".join(self._subject.session.transport.download(artifact.id, start=0, stop=limit_bytes))

    def _artifact(self, artifact_id: str) -> Artifact:
        found = self._known.get(artifact_id)
        if found is None:
            raise NotFound(f"There is no artifact {shortened(artifact_id, 60)} here: refresh, it may have been deleted.")
        return found


def size_text(size_bytes: int | None) -> str:
    """Return a size as people read it.

    >>> [size_text(size) for size in (None, 0, 999, 1500, 2_345_678, 5 * 10**12)]
    ['', '0 B', '999 B', '1.5 kB', '2.35 MB', '5000 GB']
    """
    if size_bytes is None:
        return ""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.4g} GB"


def _described(artifact: Artifact) -> dict[str, Json]:
    record = artifact.record
    return {
        "id": artifact.id,
        "name": artifact.name,
        "size_bytes": record.size_bytes,
        "storage": str(record.storage),
        "sha256": record.sha256,
        "media_type": record.media_type,
        "file_type": str(record.file_type),
        "uri": record.uri,
        "created": record.created_at.isoformat(),
    }


def _saved(artifact: Artifact) -> Path:
    """Save an artifact in the folder of the notebook, under a name that is free there, and return the path."""
    wanted = target_path(artifact.name, None)
    target = wanted
    for number in count(2):
        if not target.exists():
            break
        target = wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    return artifact.download(target)


def _content(artifact: Artifact) -> Answer:
    size_bytes = artifact.record.size_bytes or 0
    if size_bytes > _MAX_BROWSER_BYTES:
        raise TooLarge(
            f"{shortened(artifact.name, 80)} has {size_text(size_bytes)}: at most {size_text(_MAX_BROWSER_BYTES)} go through the browser, "
            "save it to the folder of the notebook instead."
        )
    return {"name": artifact.name.rpartition("/")[2]}, [artifact.read_bytes()]
