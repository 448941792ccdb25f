"""Answers of gRPC as frames: an empty message, or a status and a sentence. The client remembers none of their headers."""

from __future__ import annotations

from modelbox_server.grpc.frames import END_HEADERS, END_STREAM, Kind, frame, header_block, header_frames

__all__ = ["EMPTY_MESSAGE_BYTES", "answer_frames", "refusal_frames"]

_MESSAGE = b"\0\0\0\0\0"
EMPTY_MESSAGE_BYTES = len(_MESSAGE)
"""How much of a client's window an answer takes; a refusal takes nothing."""

_BEGIN = [(b":status", b"200"), (b"content-type", b"application/grpc")]
_END = header_block([(b"grpc-status", b"0")])

# What stands before, between and behind the three numbers of the stream.
_HEAD = frame(Kind.HEADERS, END_HEADERS, 0, header_block(_BEGIN))[:5]
_BODY = header_block(_BEGIN) + frame(Kind.DATA, 0, 0, _MESSAGE)[:5]
_TAIL = _MESSAGE + frame(Kind.HEADERS, END_HEADERS | END_STREAM, 0, _END)[:5]


def answer_frames(stream: int) -> bytes:
    """Return the frames of an empty message and the status OK."""
    number = stream.to_bytes(4, "big")
    return b"".join((_HEAD, number, _BODY, number, _TAIL, number, _END))


def refusal_frames(stream: int, status: int, detail: str, retry_after_s: float | None) -> bytes:
    """Return the frames of a status that is not OK."""
    headers = [*_BEGIN, (b"grpc-status", b"%d" % status), (b"grpc-message", _percent_encoded(detail))]
    if retry_after_s is not None:
        headers.append((b"retry-after", b"%g" % retry_after_s))
    return header_frames(stream, header_block(headers), ends_stream=True)


def _percent_encoded(text: str) -> bytes:
    """Return a status message as gRPC writes it: printable ASCII but for the percent sign, all else in hex."""
    return b"".join(b"%c" % byte if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte for byte in text.encode())
