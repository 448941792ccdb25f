"""An output that can be replaced, from any thread."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from modelbox.entities.records import Json

__all__ = ["Output"]


class Output:
    """One place in the notebook: `show` fills it, and fills it again.

    Parameters
    ----------
    shell
        Whose display publisher to use.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._id = f"modelbox-{os.urandom(8).hex()}"
        self._is_shown = False

    def show(self, bundle: dict[str, Json], metadata: dict[str, Json]) -> None:
        """Display a bundle, in place of what was displayed before."""
        self._shell.display_pub.publish(bundle, metadata, transient={"display_id": self._id}, update=self._is_shown)
        self._is_shown = True
