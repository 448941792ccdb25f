"""Frames and header blocks of HTTP/2 (RFC 9113, RFC 7541), as far as one has to know them who stands between a client and gRPC."""

from __future__ import annotations

import operator
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from modelbox_server.grpc.compression import HeaderDecoder, Pair, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "ACK",
    "END_HEADERS",
    "END_STREAM",
    "FRAME_BYTES",
    "HEAD_BYTES",
    "MAX_BLOCK_BYTES",
    "PADDED",
    "PRIORITY",
    "Headers",
    "HeadersReader",
    "Kind",
    "ProtocolError",
    "frame",
    "frames_of",
    "header_block",
    "header_frames",
    "settings_of",
]


class Kind(IntEnum):
    """The kinds of frames."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY = 0x20

HEAD_BYTES = 9
FRAME_BYTES = 16_384
"""Most bytes of a frame that whoever speaks HTTP/2 takes."""

MAX_BLOCK_BYTES = 32 * 1024
"""Most bytes of a block of headers as it comes. gRPC itself takes 16 KiB."""

MAX_HEADERS_BYTES = 64 * 1024
_MOST_KEPT = 64


def frame(kind: Kind, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    size = len(payload)
    return struct.pack(">BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def settings_of(payload: bytes) -> dict[int, int]:
    """Return what a SETTINGS frame says."""
    whole = len(payload) // 6 * 6
    return dict(struct.iter_unpack(">HI", payload[:whole]))


def header_block(headers: list[Pair]) -> bytes:
    """Return headers as a block that neither uses nor changes what the other end remembers."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def _text(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes([size]) + text
    size -= 127
    digits = bytearray([127])
    while size >= 128:
        digits.append(size & 127 | 128)
        size >>= 7
    digits.append(size)
    return bytes(digits) + text


def header_frames(stream: int, block: bytes, *, ends_stream: bool) -> bytes:
    """Return the frames that carry a header block."""
    parts = [block[start : start + FRAME_BYTES] for start in range(0, len(block), FRAME_BYTES)] or [b""]
    made: list[bytes] = []
    for at, part in enumerate(parts):
        flags = END_HEADERS if at == len(parts) - 1 else 0
        made.append(frame(Kind.CONTINUATION, flags, stream, part) if at else frame(Kind.HEADERS, flags | ends_stream, stream, part))
    return b"".join(made)


class Headers(NamedTuple):
    """What a block of headers says."""

    fields: Mapping[str, str]
    """By name; of a name that stands twice the last, as gRPC's own mapping has it."""
    block: bytes
    """The same for whoever has not seen the blocks before it."""


class HeadersReader:
    """Reads the header blocks of one connection in their order, as each may refer to those before it.

    A client sends the same block with nearly every call once the other end remembers its headers, so what a block said is kept for as long
    as that memory does not change.
    """

    def __init__(self) -> None:
        self._decoder = HeaderDecoder(MAX_HEADERS_BYTES)
        self._kept: dict[bytes, Headers] = {}

    def allow_table(self, size_bytes: int) -> None:
        """Take over how much the client may let us remember."""
        self._decoder.allowed_bytes = max(size_bytes, self._decoder.allowed_bytes)

    def read(self, block: bytes) -> Headers:
        """Return what the next block says.

        Raises
        ------
        ProtocolError
            It cannot be read.
        """
        kept = self._kept.get(block)
        if kept is not None:
            return kept
        before = list(self._decoder.remembered)
        pairs = self._decoder.decode(block)
        fields = {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in pairs}
        headers = Headers(fields, header_block(pairs))
        if not _are_same(before, self._decoder.remembered):
            self._kept.clear()
        elif len(self._kept) < _MOST_KEPT:
            self._kept[block] = headers
        return headers


def _are_same(before: list[Pair], after: list[Pair]) -> bool:
    # By identity: what is remembered anew may be equal to what is forgotten, and stands at another place.
    return len(before) == len(after) and all(map(operator.is_, before, after))


def frames_of(data: bytes, at: int = 0) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield the frames in `data` that are whole: kind, flags, stream, and where the payload begins and ends."""
    size = len(data)
    while size - at >= HEAD_BYTES:
        end = at + HEAD_BYTES + (data[at] << 16 | data[at + 1] << 8 | data[at + 2])
        if end > size:
            return
        yield data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big") & 0x7FFFFFFF, at + HEAD_BYTES, end
        at = end
