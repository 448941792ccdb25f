"""The documentation of the views of SQL is made from their table."""

from pathlib import Path

from modelbox.wire.views import VIEWS, views_table

ROOT = Path(__file__).parents[2]


def test_the_page_of_the_package_has_the_table_as_it_is() -> None:
    _, marker, table = (ROOT / "modelbox_jupyter" / "README.md").read_text().partition("test_views.py -->\n\n")
    assert marker
    assert table == views_table()


def test_every_column_says_what_it_holds() -> None:
    for view in VIEWS.values():
        assert view.summary
        assert all(view.columns.values())
