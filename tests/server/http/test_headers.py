"""Headers that carry meaning: ranges, entity tags, digests, names and types."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbox.errors import InvalidRequest, RangeNotSatisfiable
from modelbox_server.http.headers import attachment, byte_range, etag_matches, prefers, safe_image_type, sha256_of_digest

ARROW, JSON = "application/vnd.apache.arrow.stream", "application/json"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-4", (2, 5)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("bytes= 0 - 3", (0, 4)),
    ],
)
def test_one_range_is_understood(header: str, expected: tuple[int, int]) -> None:
    assert byte_range(header, 10) == expected


@pytest.mark.parametrize(
    "header",
    [
        *("bytes=5-2", "bytes=10-", "bytes=-0", "bytes=0-1,3-4", "bytes=", "bytes=-"),
        *("chunks=0-1", "garbage", "bytes=a-b", "bytes=٣-٤"),
    ],
)
def test_any_other_range_is_refused(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        byte_range(header, 10)


def test_nothing_has_no_range() -> None:
    with pytest.raises(RangeNotSatisfiable):
        byte_range("bytes=0-", 0)


@given(st.text(), st.integers(0, 2**40))
def test_a_range_is_within_the_content_or_refused(header: str, size_bytes: int) -> None:
    try:
        start, stop = byte_range(header, size_bytes)
    except RangeNotSatisfiable:
        return
    assert 0 <= start < stop <= size_bytes


def test_entity_tags_compare_by_value() -> None:
    assert etag_matches('"a", W/"b"', '"b"')
    assert etag_matches("*", '"b"')
    assert not etag_matches('"a"', '"b"')
    assert not etag_matches("", '"b"')


@pytest.mark.parametrize(
    ("accept", "arrow"),
    [
        (ARROW, True),
        (f"{ARROW}, {JSON}", True),
        (f"{ARROW};q=0.5, {JSON}", False),
        (f"{ARROW};q=0.9, {JSON};q=0.8", True),
        (f"{ARROW};q=0", False),
        (f"{ARROW};q=nan", False),
        ("*/*", False),
        ("", False),
        (JSON, False),
        (ARROW.upper(), True),
    ],
)
def test_arrow_is_sent_to_those_who_ask_for_it(accept: str, arrow: bool) -> None:
    assert prefers(accept, ARROW, JSON) is arrow


def test_a_content_digest_is_read_among_others() -> None:
    digest = hashlib.sha256(b"x").digest()
    assert sha256_of_digest(f"md5=:AAAA:, sha-256=:{base64.b64encode(digest).decode()}:") == digest.hex()
    assert sha256_of_digest("md5=:AAAA:") is None
    assert sha256_of_digest("") is None


@pytest.mark.parametrize("header", ["sha-256=:AAAA:", "sha-256=:A:"])
def test_a_digest_of_another_length_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest, match="SHA-256"):
        sha256_of_digest(header)


def test_a_file_name_survives_in_both_forms() -> None:
    plain, encoded = "_t_ _1___.bin", "%C3%A9t%C3%A9%20%221%22%0D%0A.bin"
    assert attachment('models/été "1"\r\n.bin') == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


@given(st.text(min_size=1))
def test_no_file_name_breaks_out_of_its_header(name: str) -> None:
    value = attachment(name.encode("utf-8", "ignore").decode())
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2


@pytest.mark.parametrize(
    ("declared", "head", "expected"),
    [
        ("image/png", b"\x89PNG\r\n\x1a\n....", "image/png"),
        ("image/png; charset=x", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("image/gif", b"GIF89a<script>", "image/gif"),
        ("image/webp", b"RIFF\n\x00\x00\x00WEBP", "image/webp"),
        ("image/jpeg", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("image/png", b"<html>", None),
        ("image/svg+xml", b"<svg", None),
        ("text/html", b"\x89PNG\r\n\x1a\n", None),
        ("image/png", b"", None),
    ],
)
def test_only_a_bitmap_that_is_one_goes_out_as_such(declared: str, head: bytes, expected: str | None) -> None:
    assert safe_image_type(declared, head) == expected
