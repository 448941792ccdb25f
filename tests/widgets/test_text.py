"""How values are written, and that no value is markup."""

from modelbox_widgets.testing import HOSTILE_NAMES
from modelbox_widgets.text import html_row, html_table, text_table, value_text


def test_numbers_are_short_and_never_lose_their_size() -> None:
    assert [value_text(value) for value in (0.000123456, 1e300, 12345.0, -0.5, float("nan"), float("-inf"))] == [
        "0.0001235",
        "1e+300",
        "12345",
        "-0.5",
        "NaN",
        "-∞",
    ]


def test_what_a_user_wrote_is_text_in_every_cell() -> None:
    html = html_table([(name, "") for name in HOSTILE_NAMES], [html_row([(name, "") for name in HOSTILE_NAMES])])
    assert "<img" not in html
    assert "</script>" not in html
    assert "&lt;/script&gt;" in html


def test_a_table_for_the_terminal_keeps_its_columns() -> None:
    lines = text_table(["run", "loss"], [["a\nb", "1"], ["x" * 99, "2"]]).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("a b")
