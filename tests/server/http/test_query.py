"""Query strings as typed messages."""

from datetime import UTC, datetime

import pytest

from modelbox.entities.records import Status
from modelbox.errors import InvalidQuery
from modelbox.wire.messages import ChangesQuery, Empty, EventsQuery, ExperimentsQuery, PageQuery
from modelbox_server.http.incoming import decode_query


def test_parameters_get_the_types_of_their_fields() -> None:
    query = decode_query(ExperimentsQuery, {"namespace": ["équipe/vision".encode()], "status": [b"failed"], "limit": [b"7"]})
    assert query == ExperimentsQuery(namespace="équipe/vision", status=Status.FAILED, limit=7)
    assert decode_query(EventsQuery, {"since": [b"2026-01-02T03:04:05Z"]}).since == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_text_that_looks_like_something_else_stays_text() -> None:
    assert decode_query(ExperimentsQuery, {"name": [b"null"], "owner": [b"1"]}) == ExperimentsQuery(name="null", owner="1")


def test_what_is_left_out_has_its_default() -> None:
    assert decode_query(PageQuery, {}) == PageQuery()


def test_an_unknown_parameter_is_named_with_the_nearest_one() -> None:
    with pytest.raises(InvalidQuery, match=r"no query parameter 'namespce'\. Did you mean 'namespace'"):
        decode_query(ExperimentsQuery, {"namespce": [b"x"]})


def test_an_unknown_parameter_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidQuery, match="It takes: limit, page_token"):
        decode_query(PageQuery, {"zzz": [b""]})
    with pytest.raises(InvalidQuery, match="It takes none"):
        decode_query(Empty, {"zzz": [b""]})


def test_a_parameter_stands_once() -> None:
    with pytest.raises(InvalidQuery, match="'limit' stands 2 times") as caught:
        decode_query(PageQuery, {"limit": [b"1", b"2"]})
    assert caught.value.field == "limit"


@pytest.mark.parametrize("value", [b"0", b"-1", b"1.5", b"ten", b""])
def test_a_limit_is_a_positive_integer(value: bytes) -> None:
    with pytest.raises(InvalidQuery) as caught:
        decode_query(PageQuery, {"limit": [value]})
    assert caught.value.field == "limit"


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(InvalidQuery, match="UTF-8"):
        decode_query(ExperimentsQuery, {"name": [b"\xff"]})


def test_what_belongs_to_the_surroundings_is_passed_over() -> None:
    assert decode_query(ChangesQuery, {"after": [b"3"], "_xsrf": [b"secret"]}, ignored=["_xsrf"]) == ChangesQuery(after=3)
