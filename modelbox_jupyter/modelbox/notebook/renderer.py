"""Altair charts in this notebook go through our renderer, unless the user chose one; Altair is not imported for it.

Altair's own default needs a content delivery network, and its import takes seconds. So a printer is registered for its charts *by name*:
IPython calls it when the first chart is shown, and by then Altair is there.
"""

import sys
from collections.abc import Callable
from typing import Any

from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell

from modelbox_widgets.renderer import render

__all__ = ["use_renderer"]

_CHART = ("altair.vegalite.v6.api", "TopLevelMixin")
_NAME = "modelbox"


def use_renderer(shell: InteractiveShell) -> Callable[[], None]:
    """Show Altair charts of `shell` by the renderer ``modelbox``, and return how to go back."""
    if "altair" in sys.modules:
        _enable()
    display_formatter = shell.display_formatter
    formatter = display_formatter.mimebundle_formatter if isinstance(display_formatter, DisplayFormatter) else None
    if formatter is not None:
        formatter.for_type_by_name(*_CHART, _bundle)

    def restore() -> None:
        if formatter is not None:
            formatter.pop(".".join(_CHART), None)
        if "altair" in sys.modules and _renderers().active == _NAME:
            _renderers().enable("default")

    return restore


def _bundle(chart: Any) -> object:
    _enable()
    return chart._repr_mimebundle_(None, None)


def _enable() -> None:
    """Enable our renderer where Altair's default is active: a choice of the user stays."""
    renderers = _renderers()
    if renderers.active == "default":
        if _NAME not in renderers.names():  # sources on the path, without the entry point of the distribution
            renderers.register(_NAME, render)
        renderers.enable(_NAME)


def _renderers() -> Any:
    return sys.modules["altair"].renderers
