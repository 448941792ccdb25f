"""ModelBox server: services, storage, and the faces they are reached through.

This module holds what Jupyter looks for and nothing else; it imports nothing before it is asked.
"""

__all__: list[str] = []


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Return where the server extension is."""
    from modelbox_server.extension import ModelBoxExtension

    return [{"module": "modelbox_server", "app": ModelBoxExtension}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Return where the front end is, for development installs."""
    return [{"src": "../../labextension/dist", "dest": "modelbox-labextension"}]
