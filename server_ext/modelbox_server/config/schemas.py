"""The schemas of the databases that a configuration names, for whoever brings them up to date by hand."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from modelbox_server.config.stores import database_settings
from modelbox_server.storage.registry import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelbox_server.config.loading import ServerConfig
    from modelbox_server.storage.migrations.runner import Migrations

__all__ = ["Schema", "configured_schemas"]


_SETTINGS: dict[Literal["metadata", "metrics"], Literal["metadata_storage", "metrics_storage"]] = {
    "metadata": "metadata_storage",
    "metrics": "metrics_storage",
}


@dataclass(frozen=True, slots=True)
class Schema:
    """The schema of one store.

    Parameters
    ----------
    role
        What is kept there.
    database
        Where it is, as part of a sentence.
    migrations
        Its steps.
    """

    role: Literal["metadata", "metrics"]
    database: str
    migrations: Migrations


class _Migrates(Protocol):
    migrations: Migrations

    def close(self) -> None: ...


@contextmanager
def configured_schemas(config: ServerConfig) -> Iterator[list[Schema]]:
    """Yield the schemas of the database servers that a configuration names; nothing is changed by that.

    Storage in files and in memory is none of them: it is brought up to date when it is opened.
    """
    with ExitStack() as opened:
        schemas: list[Schema] = []
        for role, setting in _SETTINGS.items():
            settings = database_settings(config, setting)
            if settings is None:
                continue
            store = cast(_Migrates, open_store(role, config.text(setting), Path(), replace(settings, auto_migrate=False)))
            opened.callback(store.close)
            schemas.append(Schema(role, str(settings), store.migrations))
        yield schemas
