"""What ModelBox adds to a notebook: the magics, ``df.modelbox``, the live chart and the Altair renderer."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Do what ``%load_ext modelbox`` asks for; doing it twice changes nothing."""
    from modelbox.notebook.extension import load

    load(shell)


def unload_ipython_extension(shell: "InteractiveShell") -> None:
    """Take all of it back."""
    from modelbox.notebook.extension import unload

    unload(shell)
