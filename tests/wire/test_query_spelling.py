"""A field, said in the words of the language, means the same field again."""

from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from modelbox.wire.query.ast import MetadataField, MetricField, RecordField
from modelbox.wire.query.needs import fields_of
from modelbox.wire.query.parser import parse
from modelbox.wire.query.spelling import spelled

# What stores keep: normalised names without NUL and surrogates.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
KEYS = NAMES.map(lambda name: normalize("NFC", name))


@given(KEYS, st.sampled_from(["last", "min", "max", "mean", "count", "first"]))
def test_metrics(key: str, statistic: str) -> None:
    field = MetricField(key, statistic)  # type: ignore[arg-type]
    assert fields_of(parse(f"{spelled(field)} > 0 or {spelled(field)} <= 0")) == [field, field]


@given(st.sampled_from(["params", "tags", "git"]), st.lists(KEYS, min_size=1, max_size=3))
def test_metadata(head: str, rest: list[str]) -> None:
    field = MetadataField((head, *rest))
    assert fields_of(parse(f"{spelled(field)} = 1")) == [field]


def test_records() -> None:
    assert spelled(RecordField("created")) == "created"
    assert fields_of(parse(f"{spelled(MetricField('loss', 'at', 10))} = 1")) == [MetricField("loss", "at", 10)]
