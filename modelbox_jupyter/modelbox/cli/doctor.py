"""What ``modelbox doctor`` looks at: who owns the name ``modelbox``, which versions there are, whether Jupyter has the extensions."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import click

from modelbox.cli.output import example

__all__ = ["Finding", "diagnose", "doctor"]

_DISTRIBUTION = "modelbox-jupyter"
_VERSIONS_OF = ("jupyter-server", "jupyterlab", "pandas", "altair", "anywidget")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    good: bool
    text: str


@click.command(epilog=example("doctor"))
@click.pass_context
def doctor(context: click.Context) -> None:
    """Check this installation.

    The exit code is 1 when something is bad.
    """
    findings = diagnose()
    for finding in findings:
        click.echo(f"{'ok  ' if finding.good else 'BAD '} {finding.text}")
    context.exit(0 if all(finding.good for finding in findings) else 1)


def diagnose() -> list[Finding]:
    """Return what was found, good and bad; nothing is started and nothing is written."""
    return [_owner(), _python(), *_versions(), _server_extension(), _lab_extension()]


def _owner() -> Finding:
    # The package index has another distribution, `modelbox`, whose files would lie in the same folder.
    owners = sorted(set(metadata.packages_distributions().get("modelbox", [])))
    if owners == [_DISTRIBUTION]:
        return Finding(True, f"modelbox belongs to {_DISTRIBUTION} {metadata.version(_DISTRIBUTION)}")
    if not owners:
        return Finding(True, "modelbox runs from a source tree")
    others = ", ".join(owner for owner in owners if owner != _DISTRIBUTION)
    return Finding(False, f"modelbox also belongs to {others}: pip uninstall {others}, then install {_DISTRIBUTION} again")


def _python() -> Finding:
    return Finding(sys.version_info >= (3, 11), f"Python {sys.version.split()[0]} at {sys.executable}")


def _versions() -> list[Finding]:
    findings: list[Finding] = []
    for name in _VERSIONS_OF:
        try:
            findings.append(Finding(True, f"{name} {metadata.version(name)}"))
        except metadata.PackageNotFoundError:
            # Only Lab itself may be missing: Notebook, Hub and scripts work without it.
            findings.append(Finding(name == "jupyterlab", f"{name} is not installed"))
    return findings


def _server_extension() -> Finding:
    for folder in _jupyter_folders("config"):
        path = folder / "jupyter_server_config.d" / "modelbox_server.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if config.get("ServerApp", {}).get("jpserver_extensions", {}).get("modelbox_server"):
            return Finding(True, f"the server extension is enabled ({path})")
    return Finding(
        False, f"the server extension is not enabled: install {_DISTRIBUTION}, or run jupyter server extension enable modelbox_server"
    )


def _lab_extension() -> Finding:
    for folder in _jupyter_folders("data"):
        path = folder / "labextensions" / "modelbox-labextension" / "package.json"
        if path.is_file():
            return Finding(True, f"the lab extension is installed ({path.parent})")
    return Finding(False, f"the lab extension is not installed: install {_DISTRIBUTION} from a wheel, not from a bare source tree")


def _jupyter_folders(kind: str) -> list[Path]:
    from jupyter_core import paths

    return [Path(folder) for folder in (paths.jupyter_config_path() if kind == "config" else paths.jupyter_path())]
