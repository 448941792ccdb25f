"""Compressed headers say what the examples of RFC 7541 say, and nonsense is refused."""

import random

import pytest

from modelbox_server.grpc.compression import HeaderDecoder, ProtocolError


def decoded(decoder: HeaderDecoder, text: str) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in decoder.decode(bytes.fromhex(text))]


FIRST = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")]


@pytest.mark.parametrize(
    "blocks",
    [
        (
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ),
        (
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ),
    ],
    ids=["plain (C.3)", "coded (C.4)"],
)
def test_the_requests_of_the_rfc_are_read(blocks: tuple[str, ...]) -> None:
    decoder = HeaderDecoder(65_536)
    assert decoded(decoder, blocks[0]) == FIRST
    assert decoded(decoder, blocks[1]) == [*FIRST, ("cache-control", "no-cache")]
    third = [(":method", "GET"), (":scheme", "https"), (":path", "/index.html"), FIRST[3], ("custom-key", "custom-value")]
    assert decoded(decoder, blocks[2]) == third
    assert [value for _, value in decoder.remembered] == [b"custom-value", b"no-cache", b"www.example.com"]


def test_the_responses_of_the_rfc_are_read_from_a_table_that_forgets() -> None:
    """Appendix C.6: a table of 256 bytes, coded texts."""
    decoder = HeaderDecoder(65_536)
    decoder.decode(b"\x3f\xe1\x01")
    common = [("cache-control", "private"), ("date", "Mon, 21 Oct 2013 20:13:21 GMT"), ("location", "https://www.example.com")]
    first = (
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae "
        "43d3"
    )
    assert decoded(decoder, first) == [(":status", "302"), *common]
    assert decoded(decoder, "4883 640e ffc1 c0bf") == [(":status", "307"), *common]
    third = (
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af "
        "2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07"
    )
    date, cookie = ("date", "Mon, 21 Oct 2013 20:13:22 GMT"), "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
    assert decoded(decoder, third) == [(":status", "200"), common[0], date, common[2], ("content-encoding", "gzip"), ("set-cookie", cookie)]
    assert [name for name, _ in decoder.remembered] == [b"set-cookie", b"content-encoding", b"date"]


@pytest.mark.parametrize(
    "block",
    [
        b"\x80", b"\xbe", b"\xff\xff\xff\xff\xff\x7f", b"\xff\xff\xff\xff\xff\xff\xff", b"\x40", b"\x40\x01", b"\x40\x05ab", b"\x82\x20",
        b"\x3f\xe2\x7f",
        b"\x40\x01a\x81\x00", b"\x40\x01a\x82\xff\xff", b"\x40\x01a\x84\xff\xff\xff\xff", b"\x7f",
    ],
)  # fmt: skip
def test_nonsense_is_refused(block: bytes) -> None:
    with pytest.raises(ProtocolError):
        HeaderDecoder(65_536).decode(block)


def test_random_blocks_are_read_or_refused() -> None:
    chance = random.Random(3)  # noqa: S311  (not a secret)
    refused = 0
    for _ in range(3_000):
        try:
            HeaderDecoder(65_536).decode(chance.randbytes(chance.randrange(40)))
        except ProtocolError:
            refused += 1
    assert 0 < refused < 3_000


def test_a_block_that_says_too_much_is_refused() -> None:
    decoder = HeaderDecoder(10_000)
    decoder.decode(b"\x40\x01a\x7f\x81\x07" + b"x" * 1_024)
    with pytest.raises(ProtocolError, match="too long"):
        decoder.decode(b"\xbe" * 100)
