"""What options and arguments may be, and how the shell completes them.

Names that somebody chose are completed only where they are plain words in every shell: what stands on a command line is executed. An
experiment whose name is no plain word is completed by the beginning of its id.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click
from click.shell_completion import CompletionItem

from modelbox.cli.literals import cut, literal
from modelbox.errors import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelbox.client.connection import ModelBox

    _TextType = click.ParamType[str]
    _NumberType = click.ParamType[int]
else:
    _TextType = _NumberType = click.ParamType  # which takes no parameters before click 8.4

__all__ = ["ArtifactName", "ExperimentName", "FileType", "MetricKey", "ModelName", "Namespace", "SettingName", "WholeNumber"]

_PATIENCE_VARIABLE = "MODELBOX_COMPLETION_S"
_PATIENCE_S = 1.0
_NEWEST = 200
_SHORT_ID_DIGITS = 12
_HELP_COLUMNS = 50
_WORD = re.compile(r"\w[\w./+-]{0,99}")


class WholeNumber(_NumberType):
    """A whole number.

    Parameters
    ----------
    min, max
        The least and the greatest that it may be.
    """

    name = "whole number"

    def __init__(self, min: int = 0, max: int | None = None) -> None:  # noqa: A002  (as click calls them)
        self._least, self._most = min, max

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what stands for it in help pages."""
        del param, ctx
        return "N"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        try:
            number = int(value)
        except ValueError:
            number = self._least - 1
        if number < self._least or (self._most is not None and number > self._most):
            bounds = f"of {self._least} or more" if self._most is None else f"between {self._least} and {self._most}"
            self.fail(f"it has to be a whole number {bounds}, got {shortened(value, 40)}.", param, ctx)
        return number


class _Text(_TextType):
    """A text that the shell completes by asking the store; whether there is such a thing says who uses it."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        del param, ctx
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        del param
        return [
            CompletionItem(value, help=cut(literal(about), _HELP_COLUMNS) or None)
            for value, about in self._asked(ctx, incomplete)
            if value.startswith(incomplete) and _WORD.fullmatch(value)
        ]

    def _asked(self, ctx: click.Context, incomplete: str) -> list[tuple[str, str]]:
        """Return the candidates; none where the store takes too long, or is not there: a key was pressed, nobody waits."""
        from modelbox.cli.client.base import Session

        address = (ctx.find_object(Session) or Session()).address
        answers: list[list[tuple[str, str]]] = []

        def ask() -> None:
            from modelbox.client.connection import ModelBox

            try:
                box = ModelBox(address, provenance=False, system_metrics=False)
                # Looking must not make a store.
                if box.where.kind != "local" or Path(box.where.address).is_dir():
                    answers.append(list(self.candidates(box, ctx, incomplete)))
            except Exception:  # noqa: BLE001  (whatever is wrong, the command itself will say it)
                return

        asking = threading.Thread(target=ask, name="modelbox-completion", daemon=True)
        asking.start()
        asking.join(float(os.environ.get(_PATIENCE_VARIABLE) or _PATIENCE_S))
        return answers[0] if answers else []

    def candidates(self, box: ModelBox, ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
        """Yield values, and what is said of each."""
        raise NotImplementedError


class ExperimentName(_Text):
    """An experiment by its name, its id or the beginning of it."""

    name = "experiment"

    def candidates(self, box: ModelBox, ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
        """Yield the names of the newest experiments, and then their ids."""
        del ctx
        found = box.experiments(limit=_NEWEST)
        names: dict[str, str] = {}
        for one in found:
            names.setdefault(one.name, f"{one.status}, in {one.namespace}")
        yield from names.items()
        if incomplete:
            yield from ((one.id[:_SHORT_ID_DIGITS], one.name) for one in found)


class ModelName(_Text):
    """A model by its name."""

    name = "model"

    def candidates(self, box: ModelBox, ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
        """Yield the names of the newest models."""
        del ctx
        yield from {one.name: one.task for one in box.models(limit=_NEWEST)}.items()


class Namespace(_Text):
    """A namespace."""

    name = "namespace"

    def candidates(self, box: ModelBox, ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
        """Yield the namespaces that there are."""
        from modelbox.wire import routes
        from modelbox.wire.messages import PageQuery

        del ctx
        yield from ((one.name, "") for one in box.session.call(routes.LIST_NAMESPACES, query=PageQuery()).items)


class MetricKey(_Text):
    """A metric of the object that was named before."""

    name = "key"

    def candidates(self, box: ModelBox, ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
        """Yield the metrics."""
        from modelbox.client.find import find_experiment

        # An argument before an option that lacks its value is still among the words that nobody has looked at.
        named = ctx.params.get("object_id") or next(iter(ctx.args), None)
        if named:
            yield from ((key, f"{summary.count} points") for key, summary in find_experiment(box, str(named)).summaries().items())


class ArtifactName(_Text):
    """A file of the object that was named before."""

    name = "name"

    def candidates(self, box: ModelBox, ctx: click.Context, incomplete: str) -> Iterable[tuple[str, str]]:
        """Yield the names of the files."""
        from modelbox.client.find import find_experiment

        named = ctx.params.get("parent_id")
        if named:
            yield from ((one.name, f"{one.record.size_bytes} bytes") for one in find_experiment(box, str(named)).artifacts)


class SettingName(_Text):
    """A setting of the server, or a part of its name."""

    name = "part"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """Return the settings; no server is asked."""
        from modelbox_server.config.table import SETTINGS

        del ctx, param
        return [CompletionItem(setting.path, help=setting.help) for setting in SETTINGS if setting.path.startswith(incomplete)]


class FileType(_Text):
    """What is in a file."""

    name = "type"
    kinds: ClassVar = ("model", "checkpoint", "text", "image", "audio", "video", "undefined")

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """Return the types."""
        del ctx, param
        return [CompletionItem(kind) for kind in self.kinds if kind.startswith(incomplete)]
