"""The list of the subcommands of %modelbox in the documentation is that of the program."""

import re
from pathlib import Path

from modelbox.notebook.commands import COMMANDS

PAGE = Path(__file__).parents[2] / "modelbox_jupyter" / "README.md"
_ROW = re.compile(r"^\| `(?P<magic>%{1,2}modelbox \w+)` \| (?P<summary>.*) \|$", re.MULTILINE)


def test_every_subcommand_stands_in_the_list_as_it_says_of_itself() -> None:
    listed = {row["magic"]: row["summary"] for row in _ROW.finditer(PAGE.read_text())}
    assert listed == {command.magic: command.summary for command in COMMANDS.values()}
