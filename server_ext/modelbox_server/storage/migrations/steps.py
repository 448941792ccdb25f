"""The list of all steps of the metadata database; a new one is a module ``m0002_what_it_does.py`` and a line here."""

from modelbox_server.storage.migrations import m0001_initial
from modelbox_server.storage.migrations.runner import Migration

__all__ = ["METADATA_STEPS"]

METADATA_STEPS = (Migration(1, "initial", m0001_initial.apply),)
