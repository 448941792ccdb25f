"""What is written from the table of settings: the file of ``init-config``, and the table of the documentation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from modelbox_server.config.table import SECTIONS, SETTINGS

if TYPE_CHECKING:
    from modelbox_server.config.table import Setting, Value

__all__ = ["default_of", "settings_table", "template", "values_of"]


def template() -> str:
    """Return the file of ``init-config``: the keys and values of 2022, and a comment per block."""
    blocks: list[str] = []
    for section in SECTIONS:
        lines = [_line(setting) for setting in SETTINGS if setting.section == section.name and setting.template is not None]
        if lines:
            blocks.append("\n".join([f"# {section.help}", *([f"[{section.name}]"] if section.name else []), *lines]))
    return "\n\n".join(blocks) + "\n"


def settings_table() -> str:
    """Return all settings as a Markdown table."""
    rows = [f"| `{setting.path}` | {_kind(setting)} | {_default(setting)} | {setting.help} |" for setting in SETTINGS]
    return "\n".join(["| setting | value | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _line(setting: Setting) -> str:
    return f"{setting.name} = {_toml(setting.template)}"


def _toml(value: Value) -> str:
    # What JSON writes of texts, numbers, booleans and lists is what TOML reads.
    return json.dumps(value)


def values_of(setting: Setting) -> str:
    """Return what a setting may be, for people."""
    return ", ".join(setting.choices) or setting.kind


def default_of(setting: Setting) -> str:
    """Return what holds when nothing is said, as it would stand in the file; empty where that is nothing."""
    if setting.needed:
        return "(needed)"
    return "" if setting.default is None else _toml(setting.default)


def _kind(setting: Setting) -> str:
    return ", ".join(f"`{choice}`" for choice in setting.choices) or setting.kind


def _default(setting: Setting) -> str:
    default = default_of(setting)
    return default if setting.needed or not default else f"`{default}`"
