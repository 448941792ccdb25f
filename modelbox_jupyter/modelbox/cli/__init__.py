"""The ``modelbox`` command."""
