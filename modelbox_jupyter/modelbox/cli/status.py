"""``modelbox status``: which store is used, and why."""

from __future__ import annotations

import click

from modelbox.cli.client.base import Session, with_session
from modelbox.cli.output import example

__all__ = ["status"]


@click.command(epilog=example("status"))
@with_session
def status(session: Session) -> None:
    """Say which store is used, and why."""
    box = session.box
    info = box.info()
    running = len(box.experiments(status="running", limit=1000))
    storage = f"metadata {info.metadata_storage}, metrics {info.metrics_storage}, artifacts {info.artifact_storage}"
    lines = [f"store    {box.where}", f"version  {info.version}", f"storage  {storage}", f"user     {info.user}", f"running  {running}"]
    click.echo("\n".join(lines))
