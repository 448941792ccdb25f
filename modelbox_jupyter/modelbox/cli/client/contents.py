"""What hangs on objects: artifacts, metrics, events, and what happens to them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
import msgspec

from modelbox.cli.client.base import Session, with_session
from modelbox.cli.output import example, formats
from modelbox.cli.values import ArtifactName, ExperimentName, FileType, MetricKey, Namespace, WholeNumber
from modelbox.entities.times import from_us
from modelbox.errors import NotFound, ServerUnreachable, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from modelbox.cli.output import Printer
    from modelbox.client.artifacts import Artifact
    from modelbox.entities.records import ChangeEvent, Json

__all__ = ["cluster_members", "download", "events", "list_artifacts", "metrics", "track", "upload", "watch"]

_ARTIFACT = ("artifact_id", "name", "storage", "file_type", "size_bytes", "checksum", "uri")
_WATCH_EVERY_S = 0.5


def _artifact_row(artifact: Artifact) -> tuple[Json, ...]:
    record = artifact.record
    return record.id, record.name, str(record.storage), str(record.file_type), record.size_bytes, record.sha256 or record.md5, record.uri


@click.command("upload", epilog=example("client artifacts upload --parent-id digits --path model.pt"))
@click.option("--parent-id", type=ExperimentName(), required=True, help="The experiment, checkpoint, model or version that it belongs to.")
@click.option("--path", required=True, type=click.Path(exists=True), help="The file, or a folder.")
@click.option("--type", "file_type", type=FileType(), default="undefined", help="model, checkpoint, text, image, audio or video.")
@formats
@with_session
def upload(session: Session, printer: Printer, parent_id: str, path: str, file_type: str) -> None:
    """Upload a file, or a folder with all below it; each is stored whole and verified, or not at all."""
    made = session.object(parent_id).upload_artifact([path], recursive=Path(path).is_dir(), file_type=file_type)
    printer.rows(_ARTIFACT, map(_artifact_row, made))


@click.command("track", epilog=example("client artifacts track --parent-id digits --path s3://bucket/train.parquet"))
@click.option("--parent-id", type=ExperimentName(), required=True, help="The experiment, checkpoint, model or version that it belongs to.")
@click.option("--path", required=True, help="Where the file is, or a URI.")
@click.option("--type", "file_type", type=FileType(), default="undefined", help="model, checkpoint, text, image, audio or video.")
@formats
@with_session
def track(session: Session, printer: Printer, parent_id: str, path: str, file_type: str) -> None:
    """Keep a reference to a file that stays where it is."""
    printer.rows(_ARTIFACT, map(_artifact_row, session.object(parent_id).track_artifacts(path, file_type=file_type)))


@click.command("list", epilog=example("client artifacts list --parent-id digits"))
@click.option("--parent-id", type=ExperimentName(), required=True, help="The object.")
@formats
@with_session
def list_artifacts(session: Session, printer: Printer, parent_id: str) -> None:
    """List the files of an object by name."""
    printer.rows(_ARTIFACT, map(_artifact_row, session.object(parent_id).artifacts), empty="The object has no files.")


@click.command("download", epilog=example("client artifacts download --parent-id digits --name model.pt --path copy.pt"))
@click.option("--parent-id", type=ExperimentName(), required=True, help="The object that it belongs to.")
@click.option("--name", type=ArtifactName(), required=True, help="Its name or id; that of a folder brings all below it.")
@click.option("--path", type=click.Path(), help="Where to; the current folder when left out.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@with_session
def download(session: Session, parent_id: str, name: str, path: str | None, *, overwrite: bool) -> None:
    """Download a file, verified; nothing is left of one that arrives damaged."""
    click.echo(session.object(parent_id).download_artifact(name, path, overwrite=overwrite))


@click.command(epilog=example("client metrics digits --key loss --csv"))
@click.argument("object_id", metavar="OBJECT", type=ExperimentName())
@click.option("--key", "keys", type=MetricKey(), multiple=True, help="Only this metric; may be repeated. A summary of all when left out.")
@click.option("--max-points", type=WholeNumber(min=4), help="Thin each series to about so many points, keeping minima and maxima.")
@formats
@with_session
def metrics(session: Session, printer: Printer, object_id: str, keys: Sequence[str], max_points: int | None) -> None:
    """Show a summary of the metrics of an object, or with --key every point."""
    if keys:
        printer.rows(("key", "step", "wall_time", "value"), _points(session, object_id, keys, max_points))
        return
    columns = ("key", "count", "first_step", "last_step", "last", "min", "max", "mean")
    found = session.object(object_id).summaries()
    rows = [(key, *(getattr(summary, name) for name in columns[1:])) for key, summary in sorted(found.items())]
    printer.rows(columns, rows, empty="The object has no metrics.")


def _points(session: Session, object_id: str, keys: Sequence[str], max_points: int | None) -> Iterator[tuple[Json, ...]]:
    found = session.object(object_id)
    known = found.summaries()
    for key in keys:
        if key not in known:
            raise NotFound.among("metric", key, known)
    for block in session.box.read_metrics([found.id], keys, max_points=max_points):
        steps, wall_times_us = (memoryview(column).cast("B").cast("q") for column in (block.steps, block.wall_times_us))
        values = block.values if isinstance(block.values, list) else memoryview(cast("bytes", block.values)).cast("B").cast("d")
        for step, at_us, value in zip(steps, wall_times_us, values, strict=True):
            yield block.key, step, from_us(at_us), value.hex() if isinstance(value, bytes) else value


@click.command(epilog=example("client events digits"))
@click.argument("object_id", metavar="OBJECT", type=ExperimentName())
@formats
@with_session
def events(session: Session, printer: Printer, object_id: str) -> None:
    """List what trainers and other systems said happened, oldest first."""
    found = session.object(object_id).events()
    rows = [(event.wall_time, event.name, event.source, event.metadata) for event in found]
    printer.rows(("wall_time", "name", "source", "metadata"), rows, empty="The object has no events.")


@click.command(epilog=example("client watch --namespace team/vision --json"))
@click.option("--namespace", type=Namespace(), help="Only changes in this namespace or below it.")
@click.option("--since-start/--from-now", default=False, help="Begin with everything that ever happened, or with what happens from now on.")
@click.option("--limit", type=WholeNumber(min=1), help="End after so many.")
@formats
@with_session
def watch(session: Session, printer: Printer, namespace: str | None, limit: int | None, *, since_start: bool) -> None:
    """Print changes as they happen, a line each, until Ctrl-C."""
    box = session.box
    after = 0 if since_start else max((event.seq for event in box.changes(namespace=namespace)), default=0)
    left = limit
    while left is None or left > 0:
        try:
            found = box.changes(namespace=namespace, after=after, limit=left)
        except (ServerUnreachable, StorageUnavailable) as error:
            click.echo(f"modelbox: {error.detail}", err=True)
            found = []
        for event in found:
            printer.line(_change(event))
            after = event.seq
        left = None if left is None else left - len(found)
        if not found:
            time.sleep(_WATCH_EVERY_S)


def _change(event: ChangeEvent) -> dict[str, Json]:
    fields: dict[str, Json] = msgspec.to_builtins(event)
    return {name: fields[name] for name in ("at", "kind", "object_type", "object_id", "namespace", "actor", "face", "seq")}


@click.command("cluster-members", epilog=example("client cluster-members"))
@formats
@with_session
def cluster_members(session: Session, printer: Printer) -> None:
    """List the servers that share one store."""
    columns = ("http_addr", "rpc_addr", "mode", "version", "started_at", "seen_at")
    rows = [tuple(getattr(member, name) for name in columns) for member in session.box.members()]
    printer.rows(columns, rows, empty="This store has no server: it is used in process, or by Jupyter.")
