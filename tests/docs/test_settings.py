"""The documentation of settings is made from their table."""

from pathlib import Path

from modelbox_server.config.template import settings_table

ROOT = Path(__file__).parents[2]


def test_the_page_of_the_server_has_the_table_as_it_is() -> None:
    _, marker, table = (ROOT / "server_ext" / "README.md").read_text().partition("test_settings.py -->\n\n")
    assert marker
    assert table == settings_table()
