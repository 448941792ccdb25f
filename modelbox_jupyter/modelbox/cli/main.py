"""The ``modelbox`` command: experiments from a shell, where they go, whether the installation is sound, and a server of your own.

Errors are one sentence on stderr, or a list of what is wrong with a file; the exit code is that of the error's class (see
:mod:`modelbox.errors`).
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from modelbox.cli.doctor import diagnose
from modelbox.cli.server import add_server, run_server
from modelbox.cli.sync import add_sync, run_sync
from modelbox.errors import ModelBoxError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

# Commands of the client that stand here as well.
_SHORT = {"query": "list the experiments for which a query holds", "sql": "print what an SQL statement selects; it can only read"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if words[:1] == ["client"] or set(words[:1]) & _SHORT.keys():
            # Click is not loaded for the others.
            from modelbox.cli.client.command import run_client

            return run_client(words[1:] if words[0] == "client" else words)
        options = _parser().parse_args(words)
        match options.command:
            case "status":
                return _status(options.address)
            case "doctor":
                return _doctor()
            case "sync":
                return run_sync(options)
            case "server":
                return run_server(options)
            case _:
                _parser().print_help()
                return 0
    except ModelBoxError as error:
        sys.stderr.write(f"modelbox: {error.detail}\n")
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    from modelbox import __version__

    parser = argparse.ArgumentParser(prog="modelbox", description="Log, query and compare machine-learning experiments.")
    parser.add_argument("--version", action="version", version=f"modelbox {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    status = commands.add_parser("status", help="which store is used, and why")
    status.add_argument("--address", help="host:8085, a URL, or the folder of a local store; searched for when left out")
    commands.add_parser("doctor", help="check this installation")
    add_sync(commands)
    add_server(commands)
    for name, what in _SHORT.items():
        commands.add_parser(name, help=what)
    commands.add_parser("client", help="log, list, query and compare experiments from a shell")
    return parser


def _status(address: str | None) -> int:
    # Opening a store loads SQLAlchemy: not for --help.
    from modelbox.client.connection import ModelBox

    with ModelBox(address) as box:
        info = box.info()
        running = len(box.experiments(status="running", limit=1000))
    storage = f"metadata {info.metadata_storage}, metrics {info.metrics_storage}, artifacts {info.artifact_storage}"
    lines = [f"store    {box.where}", f"version  {info.version}", f"storage  {storage}", f"user     {info.user}", f"running  {running}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _doctor() -> int:
    findings = diagnose()
    for finding in findings:
        sys.stdout.write(f"{'ok  ' if finding.good else 'BAD '} {finding.text}\n")
    return 0 if all(finding.good for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
