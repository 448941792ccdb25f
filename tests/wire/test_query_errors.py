"""A query that is wrong is answered with the column, the place, and what was probably meant."""

import pytest

from modelbox.errors import InvalidQuery
from modelbox.wire.query.parser import parse

RECORD_FIELDS = (
    "name, namespace, owner, group, framework, external_id, id, parent, status, created, updated, started, finished, age, duration"
)


@pytest.mark.parametrize(
    ("query", "column", "sentence"),
    [
        ("stats = x", 1, "there is no field 'stats'. Did you mean 'status'?"),
        ("metric.loss < 1", 1, "there is no field 'metric'. Did you mean 'metrics'?"),
        ("lr < 1", 1, f"there is no field 'lr'. Write params.lr, tags.lr or metrics.lr, or take one of {RECORD_FIELDS}."),
        ("__class__ = 1", 1, None),
        ("name.__class__ = x", 6, "name has no parts: params are written params.NAME, metrics metrics.NAME."),
        ("params < 1", 1, "params needs a name: write params.NAME."),
        ("metrics > 1", 1, "metrics needs a name: write metrics.NAME or metrics.NAME.max."),
        ("status = finishd", 10, "there is no status 'finishd'. Did you mean 'finished'?"),
        ("status in (failed, 3)", 20, "there is no status '3'. There is: running, finished, failed, interrupted."),
        ("status < failed", 10, "a status is neither less nor greater than another: use = or in, not <."),
        ("name = a adn owner = b", 10, "here comes and, or, show, order by, limit or the end, not 'adn'. Did you mean 'and'?"),
        ("name lik 'a'", 6, "here comes a comparison, and, or, show, order by, limit or the end, not 'lik'. Did you mean 'like'?"),
        ("name = a ordr by name", 10, "here comes and, or, show, order by, limit or the end, not 'ordr'. Did you mean 'order'?"),
        ("name = a order name", 16, "after 'order' comes 'by', not 'name'."),
        ("order by name dsc", 15, "here comes asc, desc, ',', show, limit or the end, not 'dsc'. Did you mean 'desc'?"),
        ("limit 0", 7, "after 'limit' comes a whole number from 1, not '0'."),
        ("limit 1.5", 7, "after 'limit' comes a whole number from 1, not '1.5'."),
        ("limit 5 6", 9, "here comes show, order by or the end, not '6'."),
        ("limit 5 limit 6", 9, "'limit' stands here for the second time: write one."),
        ("order by name limit 5 show name 6", 33, "here comes ',' or the end, not '6'."),
        ("show name limit 5 order by id x", 31, "here comes asc, desc, ',' or the end, not 'x'."),
        ("name = a shw name", 10, "here comes and, or, show, order by, limit or the end, not 'shw'. Did you mean 'show'?"),
        ("name = a select name", 10, "columns are chosen with show, as in: show name, params.lr, metrics.loss.min."),
        ("show", 5, "here comes a field, such as params.lr, metrics.loss.min or status, not the end."),
        ("show name, 5", 12, "here comes a field, such as params.lr, metrics.loss.min or status, not '5'."),
        ("metrics.loss.at < 1", 17, "after 'at' comes a step in parentheses, as in at(100), not '<'."),
        ("metrics.loss.at(1.5) < 1", 17, "at needs a step, a whole number of 64 bits as in at(100), not '1.5'."),
        ("metrics.loss.at('1') < 1", 17, "at needs a step, a whole number of 64 bits as in at(100), not '1'."),
        ("metrics.loss.at(9223372036854775808) < 1", 17, None),
        ("metrics.loss.at(1 < 1", 19, "after the step comes ')', not '<'."),
        ("metrics.loss.first(1) < 1", 19, "here comes a comparison, and, or, show, order by, limit or the end, not '('."),
        ("(name = a", 1, "this parenthesis is not closed."),
        ("(name = a 5)", 11, "here comes and, or or ')', not '5'."),
        ("name = a)", 9, "here comes and, or, show, order by, limit or the end, not ')'."),
        ("params.lr 0.1", 11, "an operator such as = or < is missing before '0.1'."),
        ("params.lr <", 12, "here comes a value, not the end: text goes into quotes."),
        ("params.lr < and", 13, "here comes a value, not 'and': text goes into quotes."),
        ("params. < 1", 9, "after '.' comes a name, in quotes if it is no plain word, not '<'."),
        ("0.9 < params.lr", 1, "here comes a field, such as params.lr, metrics.loss.min or status, not '0.9'."),
        ("params.a < params.b", 12, "a field is compared with a value, not with another field: put text with dots into quotes."),
        ("params.n < 10k", 12, "'10k' is neither a number nor a duration with the units s, min, h, d, w: put text into quotes."),
        ("params.n < 1e400", 12, "'1e400' is outside float64."),
        ("params.t < 2d", 12, "only age and duration are compared with durations: put 2d into quotes for text."),
        ("params.x < true", 12, "true is neither less nor greater than anything: use = or !=, not <."),
        ("params.x between 1 and 'b'", 24, "between needs two values of one type."),
        ("params.x between 1 or 2", 20, "between needs two values, as in between 1 and 2: here comes 'and', not 'or'."),
        ("params.x in 1", 13, "after 'in' come values in parentheses, as in (1, 2), not '1'."),
        ("params.x in (1 2)", 16, "here comes ',' or ')', not '2'."),
        ("params.x not 1", 14, "after 'not' comes in, between or like, not '1'."),
        ("name = 3", 8, 'name is text: write "3" in quotes.'),
        ("age < soon", 7, 'age is compared with a duration, such as 90s, 15min, 2h or 7d, not with "soon".'),
        (
            "created > gestern",
            11,
            "created is compared with a time in quotes, not with 'gestern': use age for how long ago, or created >= \"2026-07-01\".",
        ),
        ("created > '1. 7. 2026'", 11, '\'1. 7. 2026\' is no time: write "2026-07-01" or "2026-07-01T12:00:00+02:00".'),
        ("created ~ 'a'", 11, "created is no text: compare it with = or <."),
        ("name ~ abc", 8, "after '~' comes text in quotes, not 'abc'."),
        ("name ~ 'ab(c'", 11, "this group is not closed: write '\\(' for the character."),
        ("name ~ 'a**'", 11, "a repeat of a repeat is not supported: put the first one into a group."),
        ("name ~ '^*'", 10, "a place in the text cannot be repeated: remove the repeat."),
        ("name ~ '(?=a)'", 9, "of the groups that begin with '(?' only '(?:' is supported, and '(?i)' at the very beginning."),
        ("name ~ '(a)\\1'", 12, "'\\1' is not supported: of escapes there are \\d \\w \\s \\D \\W \\S \\n \\t and those of signs."),
        ("name ~ 'a{2,1}'", 10, "a repeat goes from a number to no smaller one, at most 100."),
        ("name ~ '[b-a]'", 9, "this class has a range that ends before it begins."),
        ("name = 'a", 8, "the quote ' is not closed."),
        ("name = a; drop table experiments", 9, "';' has no meaning here: text goes into quotes, for example \"a b\"."),
        ("name = 'a\\u0000'", 8, "this text has a NUL or a lone surrogate, which nothing stored here ever has."),
    ],
)
def test_the_message_says_what_is_wrong_and_points_at_it(query: str, column: int, sentence: str | None) -> None:
    with pytest.raises(InvalidQuery) as raised:
        parse(query)
    first, line, caret = raised.value.detail.split("\n")
    assert first.startswith(f"Column {column}: ")
    if sentence is not None:
        assert first == f"Column {column}: {sentence}"
    assert line == f"    {query}"
    assert caret == " " * (4 + column - 1) + "^"
    assert raised.value.field == "q"


def test_the_caret_stands_under_the_place_in_wide_text_and_in_long_text() -> None:
    with pytest.raises(InvalidQuery) as raised:
        parse("name = '日本語' adn x")
    assert raised.value.detail.split("\n")[1:] == ["    name = '日本語' adn x", " " * (4 + 7 + 2 + 6 + 1) + "^"]
    with pytest.raises(InvalidQuery) as raised:
        parse(" and ".join(["name = abcdefghij"] * 40) + " adn " + " and ".join(["name = abcdefghij"] * 40))
    _, line, caret = raised.value.detail.split("\n")
    assert line.startswith("    …")
    assert line.endswith("…")
    assert len(line) < 80
    assert line[caret.index("^") :].startswith("adn ")


def test_line_breaks_in_a_query_do_not_break_the_message() -> None:
    with pytest.raises(InvalidQuery) as raised:
        parse("name = a\n\tadn x")
    assert raised.value.detail.split("\n")[1:] == ["    name = a  adn x", " " * 14 + "^"]
