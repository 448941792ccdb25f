"""The list of all steps of the metadata database; a new one is a module ``m0002_what_it_does.py`` and a line here.

A step is loaded when it is applied: nearly every start finds nothing to do.
"""

from collections.abc import Callable
from importlib import import_module
from typing import cast

import sqlalchemy as sa

from modelbox_server.storage.migrations.runner import Migration

__all__ = ["METADATA_STEPS"]


def _step(number: int, name: str) -> Migration:
    def apply(connection: sa.Connection) -> None:
        module = import_module(f"modelbox_server.storage.migrations.m{number:04}_{name}")
        cast("Callable[[sa.Connection], None]", module.apply)(connection)

    return Migration(number, name, apply)


METADATA_STEPS = (
    _step(1, "initial"),
    _step(2, "operations"),
    _step(3, "documents"),
    _step(4, "actions"),
    _step(5, "locks"),
    _step(6, "access"),
    _step(7, "members"),
    _step(8, "limits"),
)
