"""The page about the command line is made from the commands."""

from pathlib import Path

from modelbox.cli.reference import reference

PAGE = Path(__file__).parents[2] / "modelbox_jupyter" / "CLI.md"


def test_the_page_says_what_the_commands_say() -> None:
    assert PAGE.read_text() == reference(), "Make it anew: python -m modelbox.cli.reference > modelbox_jupyter/CLI.md"
