"""Experiments, checkpoints, models and their versions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from modelbox.cli.client.base import Session, with_session
from modelbox.cli.output import example, formats
from modelbox.cli.values import ExperimentName, ModelName, Namespace, WholeNumber
from modelbox.errors import Conflict, InvalidRequest, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelbox.cli.output import Printer
    from modelbox.client.experiment import Experiment

__all__ = [
    "compare_experiments",
    "create_checkpoint",
    "create_experiment",
    "create_model",
    "delete_experiment",
    "list_checkpoints",
    "list_experiments",
    "list_models",
    "show_experiment",
    "versions",
]

_EXPERIMENT = ("experiment_id", "name", "namespace", "status", "owner", "framework", "created_at")


def _experiment_row(experiment: Experiment) -> tuple[Any, ...]:
    record = experiment.record
    return record.id, record.name, record.namespace, str(record.status), record.owner, record.framework, record.created_at


@click.command("create", epilog=example("client experiments create --name demo --namespace team/vision"))
@click.option("--name", required=True, help="Its name; the same name in a namespace always means the same experiment.")
@click.option("--namespace", type=Namespace(), default="", help="Where it belongs; default when left out.")
@click.option("--owner", default="", help="Whose it is; you when left out.")
@click.option("--framework", default="", help="What it is trained with.")
@click.option("--external-id", default="", help="Its id in another system.")
@formats
@with_session
def create_experiment(session: Session, printer: Printer, name: str, namespace: str, owner: str, framework: str, external_id: str) -> None:
    """Create an experiment, or find the one that the name means."""
    experiment = session.box.new_experiment(name, owner=owner, namespace=namespace, framework=framework, external_id=external_id)
    printer.rows(_EXPERIMENT, [_experiment_row(experiment)])


@click.command("list", epilog=example('client experiments list --query "metrics.loss.min < 0.1"'))
@click.option("--namespace", type=Namespace(), help="Only those in this namespace or below it.")
@click.option("--query", "q", help="Only those that the query finds, in its order.")
@click.option("--limit", type=WholeNumber(min=1), default=100, show_default=True, help="At most so many.")
@formats
@with_session
def list_experiments(session: Session, printer: Printer, namespace: str | None, q: str | None, limit: int) -> None:
    """List experiments, newest first."""
    filters = {} if q is None else {"q": q}
    found = session.box.experiments(namespace, limit=limit + 1, **filters)
    printer.rows(_EXPERIMENT, map(_experiment_row, found[:limit]), empty="No experiment was found.")
    if len(found) > limit:
        click.echo(f"There are more than these {limit}: give a greater --limit.", err=True)


@click.command("show", epilog=example("client experiments show digits"))
@click.argument("experiment_id", metavar="EXPERIMENT", type=ExperimentName())
@formats
@with_session
def show_experiment(session: Session, printer: Printer, experiment_id: str) -> None:
    """Show an experiment with its metadata and the last values of its metrics."""
    experiment = session.experiment(experiment_id)
    metrics = {f"metrics.{key}": summary.last for key, summary in experiment.summaries().items()}
    printer.row({**dict(zip(_EXPERIMENT, _experiment_row(experiment), strict=True)), **experiment.metadata(), **metrics})


@click.command("compare", epilog=example("client experiments compare digits baseline"))
@click.argument("experiment_ids", metavar="EXPERIMENT...", type=ExperimentName(), nargs=-1, required=True)
@click.option("--all", "everything", is_flag=True, help="Also what is the same in all.")
@formats
@with_session
def compare_experiments(session: Session, printer: Printer, experiment_ids: Sequence[str], *, everything: bool) -> None:
    """Put experiments side by side: parameters, tags and metrics that differ."""
    if len(experiment_ids) < 2:
        raise InvalidRequest("One experiment alone compares with nothing: give the ids of two or more.", field="experiment_ids")
    found = [session.experiment(experiment_id) for experiment_id in experiment_ids]
    facts = [
        {
            "name": experiment.name,
            "status": str(experiment.status),
            **{key: value for key, value in experiment.metadata().items() if key.startswith(("params.", "tags."))},
            **{f"metrics.{key}": summary.last for key, summary in experiment.summaries().items()},
        }
        for experiment in found
    ]
    keys = sorted({key for fact in facts for key in fact}, key=lambda key: (key.partition(".")[0] not in {"name", "status"}, key))
    # repr tells 1 from True and NaN from nothing.
    rows = [(key, *(fact.get(key) for fact in facts)) for key in keys]
    differing = [row for row in rows if everything or len({repr(value) for value in row[1:]}) > 1]
    printer.rows(
        ("key", *(experiment_id[:12] for experiment_id in experiment_ids)), differing, empty="Nothing differs: --all shows everything."
    )


@click.command("delete", epilog=example("client experiments delete scratch --yes"))
@click.argument("experiment_id", metavar="EXPERIMENT", type=ExperimentName())
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_session
def delete_experiment(session: Session, experiment_id: str, *, yes: bool) -> None:
    """Delete an experiment with everything that hangs on it.

    It is meant by its id, or by a name that no other has.
    """
    experiment = session.experiment(experiment_id)
    if experiment_id == experiment.name and len(session.box.experiments(name=experiment_id, limit=2)) > 1:
        raise Conflict(f"Several experiments are called {shortened(experiment_id)}: say by its id which one to delete.")
    if not yes:
        _confirm(f"Delete {experiment.name!r} ({experiment.id}) with its points, checkpoints and files?")
    experiment.delete()
    click.echo(f"deleted {experiment.id}")


def _confirm(question: str) -> None:
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise InvalidRequest("Nothing was deleted: answer the question with y, or say --yes.") from None


_CHECKPOINT = ("checkpoint_id", "experiment_id", "epoch", "metrics", "files", "created_at")


@click.command("create", epilog=example("client checkpoints create --experiment-id digits --epoch 3 --path model.pt --upload"))
@click.option("--experiment-id", type=ExperimentName(), required=True, help="The experiment.")
@click.option("--epoch", type=WholeNumber(min=0), default=0, show_default=True, help="The epoch.")
@click.option("--path", type=click.Path(exists=True, dir_okay=False), help="A file of it: tracked, or uploaded with --upload.")
@click.option("--upload", is_flag=True, help="Upload the file instead of keeping a reference to it.")
@formats
@with_session
def create_checkpoint(session: Session, printer: Printer, experiment_id: str, epoch: int, path: str | None, *, upload: bool) -> None:
    """Create the checkpoint of an epoch, or find it."""
    made = session.experiment(experiment_id).new_checkpoint(epoch)
    files = []
    if path is not None:
        files = [made.upload_artifact(path, file_type="checkpoint")] if upload else made.track_artifacts(path, file_type="checkpoint")
    checksums = ", ".join(file.checksum for file in files)
    printer.rows(("checkpoint_id", "checksum"), [(made.id, checksums)])


@click.command("list", epilog=example("client checkpoints list --experiment-id digits"))
@click.option("--experiment-id", type=ExperimentName(), required=True, help="The experiment.")
@formats
@with_session
def list_checkpoints(session: Session, printer: Printer, experiment_id: str) -> None:
    """List the checkpoints of an experiment by epoch."""
    found = session.experiment(experiment_id).checkpoints()
    rows = [
        (one.id, one.experiment_id, one.epoch, one.metrics, ", ".join(file.name for file in one.artifacts), one.created_at) for one in found
    ]
    printer.rows(_CHECKPOINT, rows, empty="The experiment has no checkpoint.")


_MODEL = ("model_id", "name", "namespace", "owner", "task", "description", "created_at")


@click.command("create", epilog=example("client models create --name digits --task classification"))
@click.option("--name", required=True, help="Its name; the same name in a namespace always means the same model.")
@click.option("--namespace", type=Namespace(), default="", help="Where it belongs; default when left out.")
@click.option("--owner", default="", help="Whose it is; you when left out.")
@click.option("--task", default="", help="What it solves.")
@click.option("--description", default="", help="What people should know.")
@formats
@with_session
def create_model(session: Session, printer: Printer, name: str, namespace: str, owner: str, task: str, description: str) -> None:
    """Create a model, or find the one that the name means."""
    model = session.box.new_model(name, owner=owner, namespace=namespace, task=task, description=description)
    printer.rows(_MODEL, [(model.id, model.name, model.namespace, model.owner, model.task, model.description, model.created_at)])


@click.command("list", epilog=example("client models list --namespace team/vision"))
@click.option("--namespace", type=Namespace(), help="Only those in this namespace or below it.")
@formats
@with_session
def list_models(session: Session, printer: Printer, namespace: str | None) -> None:
    """List models, newest first."""
    found = session.box.models(namespace)
    rows = [(one.id, one.name, one.namespace, one.owner, one.task, one.description, one.created_at) for one in found]
    printer.rows(_MODEL, rows, empty="No model was found.")


@click.command(epilog=example("client versions digits --namespace team/vision"))
@click.argument("model", type=ModelName())
@click.option("--namespace", type=Namespace(), help="Where the model is, when several have its name.")
@formats
@with_session
def versions(session: Session, printer: Printer, model: str, namespace: str | None) -> None:
    """List the versions of a model, given by its name or id."""
    found = session.box.model(model, namespace=namespace).model_versions()
    rows = [(one.id, one.version, one.name, ", ".join(one.tags), one.framework, one.experiment_id, one.created_at) for one in found]
    columns = ("version_id", "version", "name", "tags", "framework", "experiment_id", "created_at")
    printer.rows(columns, rows, empty="The model has no version.")
