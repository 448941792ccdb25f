"""What options and arguments may be."""

from __future__ import annotations

import click

__all__ = ["WholeNumber"]


class WholeNumber(click.IntRange):
    """A whole number; called so in messages."""

    name = "whole number"
