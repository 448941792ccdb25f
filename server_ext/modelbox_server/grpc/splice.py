"""A connection that is passed on to the gRPC server, frame by frame, but for small calls that are answered here.

gRPC for Python spends a tenth of a millisecond on a call, and passing it on and back takes as much again; a training script that logs point
by point pays that for each. So a call to one of a few methods, whose request came whole in one frame, never reaches the gRPC server: it is
read and answered on the connection itself. Whatever else comes, in whatever form, goes on as it is.

Two parties then speak to the client in the place of one. What they share is kept apart here:

- *Headers.* Blocks from the client refer to those before them, so all are read, and passed on in a form that refers to nothing. Our answers
  use a form that the client does not remember, so those of the gRPC server still refer to the right ones.
- *Windows.* Of what the client lets the server send on the connection a little is kept back for our answers; what it lets us send is what
  the gRPC server does not know of. What the client sends to us we let it send again.
- *Streams.* The gRPC server hears nothing of a stream that is ours: neither its frames, nor that its number is taken.
- *Pings* of the client are answered here, as a gRPC server that sends nothing takes them for an attack.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Protocol

from modelbox_server.grpc.answers import EMPTY_MESSAGE_BYTES, answer_frames, refusal_frames
from modelbox_server.grpc.ends import End
from modelbox_server.grpc.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES,
    HEAD_BYTES,
    MAX_BLOCK_BYTES,
    PADDED,
    PRIORITY,
    HeadersReader,
    Kind,
    ProtocolError,
    frame,
    frames_of,
    header_frames,
    settings_of,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from modelbox_server.grpc.frames import Headers
    from modelbox_server.grpc.peers import Peer

__all__ = ["Answer", "ShortCalls", "Splice", "spliced"]

_PREFACE_BYTES = 24
_RESERVE_BYTES = 16_384
"""How much of the client's window is kept back for our answers, of five bytes each."""

_MAX_REQUEST_BYTES = FRAME_BYTES
_MOST_AT_ONCE = 500
_GRANT_BYTES = 8_192
_MOST_UNREAD_BYTES = 1 << 20
_HEADER_TABLE_SIZE, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 1, 4, 5
_PROTOCOL_ERROR = 1
_LINGER_S = 2.0
_LAST_BYTES_S = 30.0
"""How long one connection may take to read the rest, once the other has ended."""

_LEAST_WINDOW_BYTES = 1_024


class Answer(Protocol):
    """What a short call ends with: an empty message, or a status other than 0 and a sentence."""

    def __call__(self, status: int = 0, detail: str = "", retry_after_s: float | None = None) -> None:
        """Answer; once."""
        ...


class ShortCalls(Protocol):
    """Carries out the calls that are answered on the connection. Their answers have no fields."""

    def takes(self, path: str) -> bool:
        """Tell whether calls to this path are among them."""
        ...

    def call(self, path: str, headers: Mapping[str, str], peer: Peer, request: bytes, answer: Answer) -> None:
        """Begin a call, and see that `answer` is called when it is over. Raises nothing."""
        ...


class Splice:
    """Both ends of a connection, and the short calls on it.

    Parameters
    ----------
    short_calls
        Carries them out.
    peer
        Who calls.
    begin
        What the client said already.
    """

    def __init__(self, short_calls: ShortCalls, peer: Peer, begin: bytes) -> None:
        self._short_calls = short_calls
        self._peer = peer
        self.outside = End(self, self._from_client)
        self.inside = End(self, self._from_server)
        self._client_rest = begin
        self._server_rest = b""
        self._has_preface = False
        self._reader = HeadersReader()
        self._block: tuple[int, int, bytes] | None = None
        self._waiting: dict[int, Headers] = {}  # headers of calls that may turn out to be short
        self._passed_on: dict[int, int] = {}  # streams of the gRPC server: which sides have ended them
        self._ours: set[int] = set()
        self._under_way = 0  # calls, also those whose stream was reset
        self._last_ours = 0
        self._is_leaving = False
        self._is_given_up = False
        self._window = 0
        self._is_window_small = False
        self._ungranted = 0
        self._max_frame_bytes = FRAME_BYTES
        self._answers: list[bytes] = []

    # --- both ends -----------------------------------------------------------------------------------------------------------------------

    def joined(self) -> None:
        """Let both hear what the other one said before they were connected."""
        if self.outside.transport is not None:
            self._from_client(b"")
            self._from_server(b"")

    def balance(self) -> None:
        """Read nothing that would have to be written to an end that is full.

        A client may send all it has before it reads; only who lets answers of ours pile up as well is not heard.
        """
        self.inside.read_if(wanted=not self.outside.is_full)
        self.outside.read_if(wanted=not self.inside.is_full and self.outside.backlog_bytes() < _MOST_UNREAD_BYTES)

    def give_up(self) -> None:
        """Say goodbye to a client that cannot be understood, and hear nothing more.

        Closing at once would reset the connection before the goodbye was read.
        """
        self._is_given_up = True
        self._send_answers()
        last = max(self._last_ours, *self._passed_on, 0)
        self.outside.write(frame(Kind.GOAWAY, 0, 0, struct.pack(">II", last, _PROTOCOL_ERROR)))
        self.inside.close()
        asyncio.get_running_loop().call_later(_LINGER_S, self.end)

    def lost(self, lost: End) -> None:
        """Note that one end is closed."""
        if lost is self.outside or not self._is_given_up:
            self.end()

    def end(self) -> None:
        """Close both ends, once what was written to them is sent: HTTP/2 has no half of a conversation."""
        self._send_answers()
        self.outside.close()
        self.inside.close()

    # --- from the client -----------------------------------------------------------------------------------------------------------------

    def _from_client(self, data: bytes) -> None:
        if self._is_given_up:
            return
        data = self._client_rest + data
        self._client_rest = b""
        begin = at = 0
        if not self._has_preface:
            if len(data) < _PREFACE_BYTES:
                self._client_rest = data
                return
            self._has_preface = True
            at = _PREFACE_BYTES
        passed_on: list[bytes] = []
        for kind, flags, stream, start, end in frames_of(data, at):
            instead = self._instead(kind, flags, stream, data, start, end)
            if instead is not None:
                passed_on += (data[begin:at], instead)
                begin = end
            at = end
        passed_on.append(data[begin:at])
        if at < len(data):
            self._client_rest = data[at:]
            if len(data) - at >= HEAD_BYTES and int.from_bytes(data[at : at + 3], "big") > self._max_frame_bytes:
                raise ProtocolError("a frame is larger than allowed")
        joined = b"".join(passed_on)
        if joined:
            self.inside.write(joined)

    def _instead(self, kind: int, flags: int, stream: int, data: bytes, start: int, end: int) -> bytes | None:
        """Return what is passed on in the place of a frame, or ``None`` to pass it on as it is."""
        if self._block is not None and kind != Kind.CONTINUATION:
            raise ProtocolError("a block of headers is interrupted")
        if not stream:
            return self._of_connection(kind, flags, data[start:end])
        match kind:
            case Kind.DATA:
                return self._data(flags, stream, data, start, end)
            case Kind.HEADERS:
                return self._headers(flags, stream, data[start:end])
            case Kind.CONTINUATION:
                return self._continued(flags, stream, data[start:end])
            case Kind.WINDOW_UPDATE:
                return None if stream in self._passed_on else b""
            case Kind.RST_STREAM:
                return self._reset(stream)
            case Kind.PRIORITY:
                return b""
            case _:
                return None

    def _of_connection(self, kind: int, flags: int, payload: bytes) -> bytes | None:
        match kind:
            case Kind.WINDOW_UPDATE:
                return self._window_update(payload)
            case Kind.PING if not flags & ACK:
                self._say(frame(Kind.PING, ACK, 0, payload))
                return b""
            case Kind.SETTINGS if not flags & ACK:
                window_bytes = settings_of(payload).get(_INITIAL_WINDOW_SIZE)
                if window_bytes is not None:
                    self._is_window_small = window_bytes < _LEAST_WINDOW_BYTES
                return None
            case _:
                return None

    def _headers(self, flags: int, stream: int, payload: bytes) -> bytes:
        start, end = 0, len(payload)
        if flags & PADDED:
            start, end = 1, end - (payload[0] if payload else 0)
        if flags & PRIORITY:
            start += 5
        if start > end:
            raise ProtocolError("the padding is longer than its frame")
        self._block = (stream, flags, b"")
        return self._continued(flags, stream, payload[start:end])

    def _continued(self, flags: int, stream: int, part: bytes) -> bytes:
        if self._block is None or self._block[0] != stream:
            raise ProtocolError("headers are continued that did not begin")
        first_flags, block = self._block[1], self._block[2] + part
        if len(block) > MAX_BLOCK_BYTES:
            raise ProtocolError("a block of headers is too long")
        if not flags & END_HEADERS:
            self._block = (stream, first_flags, block)
            return b""
        self._block = None
        headers = self._reader.read(block)
        ends_stream = bool(first_flags & END_STREAM)
        if not ends_stream and stream not in self._passed_on and self._may_be_short(headers):
            self._waiting[stream] = headers
            return b""
        self._passed_on.setdefault(stream, 0)
        if ends_stream:
            self._ended(stream, 1)
        return header_frames(stream, headers.block, ends_stream=ends_stream)

    def _may_be_short(self, headers: Headers) -> bool:
        fields = headers.fields
        return (
            self._short_calls.takes(fields.get(":path", ""))
            and fields.get(":method") == "POST"
            and fields.get("content-type") in {"application/grpc", "application/grpc+proto"}
            and len(self._waiting) + self._under_way < _MOST_AT_ONCE
            and not self._is_leaving
            and not self._is_window_small
        )

    def _data(self, flags: int, stream: int, data: bytes, start: int, end: int) -> bytes | None:
        headers = self._waiting.pop(stream, None)
        if headers is None:
            if flags & END_STREAM and stream in self._passed_on:
                self._ended(stream, 1)
            return None
        size = end - start
        is_whole = (
            flags & (END_STREAM | PADDED) == END_STREAM
            and size <= _MAX_REQUEST_BYTES
            and self._window >= EMPTY_MESSAGE_BYTES
            and data[start : start + 5] == b"\0" + (size - 5).to_bytes(4, "big", signed=True)
        )
        if not is_whole:
            self._passed_on[stream] = flags & END_STREAM
            # With the frame as it is behind its headers.
            return header_frames(stream, headers.block, ends_stream=False) + data[start - HEAD_BYTES : end]
        self._window -= EMPTY_MESSAGE_BYTES
        self._ungranted += size
        self._ours.add(stream)
        self._under_way += 1
        self._last_ours = max(self._last_ours, stream)
        self._begin(stream, headers, data[start + 5 : end])
        return b""

    def _begin(self, stream: int, headers: Headers, request: bytes) -> None:
        def answer(status: int = 0, detail: str = "", retry_after_s: float | None = None) -> None:
            self._under_way -= 1
            if stream not in self._ours:  # the caller gave up
                self._window += EMPTY_MESSAGE_BYTES
                return
            self._ours.discard(stream)
            if status == 0:
                self._say(answer_frames(stream))
            else:
                self._window += EMPTY_MESSAGE_BYTES
                self._say(refusal_frames(stream, status, detail, retry_after_s))

        self._short_calls.call(headers.fields[":path"], headers.fields, self._peer, request, answer)

    def _window_update(self, payload: bytes) -> bytes | None:
        grown = int.from_bytes(payload, "big") & 0x7FFFFFFF
        ours = min(grown, max(0, _RESERVE_BYTES - self._window))
        if not ours:
            return None
        self._window += ours
        return frame(Kind.WINDOW_UPDATE, 0, 0, struct.pack(">I", grown - ours)) if grown > ours else b""

    def _reset(self, stream: int) -> bytes | None:
        self._ours.discard(stream)
        if self._waiting.pop(stream, None) is not None or stream not in self._passed_on:
            return b""
        del self._passed_on[stream]
        return None

    def _ended(self, stream: int, side: int) -> None:
        """Note that a side sends no more on a stream; nobody has to know of one that both ended."""
        sides = self._passed_on.get(stream, 3) | side
        if sides == 3:
            self._passed_on.pop(stream, None)
        else:
            self._passed_on[stream] = sides

    # --- to the client -------------------------------------------------------------------------------------------------------------------

    def _from_server(self, data: bytes) -> None:
        if self._is_given_up:
            return
        data = self._server_rest + data
        if self.outside.transport is None:  # it speaks as soon as it is connected
            self._server_rest = data
            return
        passed_on: list[bytes] = []
        begin = whole = 0
        is_open = False
        for kind, flags, stream, start, end in frames_of(data):
            if kind in {Kind.HEADERS, Kind.CONTINUATION}:
                is_open = not flags & END_HEADERS
            if kind == Kind.GOAWAY:
                # What was answered here must not be sent again.
                self._is_leaving = True
                last = max(int.from_bytes(data[start : start + 4], "big"), self._last_ours)
                passed_on += (data[begin:start], struct.pack(">I", last))
                begin = start + 4
            else:
                self._note(kind, flags, stream, data, start, end)
            if not is_open:
                whole = end
        # A block of headers must not be interrupted by an answer of ours: one that is not whole yet waits.
        passed_on.append(data[begin:whole])
        self._server_rest = data[whole:]
        joined = b"".join(passed_on)
        if joined:
            self._send_answers()
            self.outside.write(joined)

    def _note(self, kind: int, flags: int, stream: int, data: bytes, start: int, end: int) -> None:
        """Note which streams the gRPC server has ended, and what it allows."""
        if kind in {Kind.HEADERS, Kind.DATA} and flags & END_STREAM:
            self._ended(stream, 2)
        elif kind == Kind.RST_STREAM:
            self._passed_on.pop(stream, None)
        elif kind == Kind.SETTINGS and not flags & ACK:
            settings = settings_of(data[start:end])
            self._reader.allow_table(settings.get(_HEADER_TABLE_SIZE, 0))
            self._max_frame_bytes = settings.get(_MAX_FRAME_SIZE, self._max_frame_bytes)

    def _say(self, data: bytes) -> None:
        """Send frames to the client, together with those of the same moment."""
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._send_answers)
        self._answers.append(data)

    def _send_answers(self) -> None:
        if not self._answers:
            return
        if self._ungranted >= _GRANT_BYTES:
            self._answers.append(frame(Kind.WINDOW_UPDATE, 0, 0, struct.pack(">I", self._ungranted)))
            self._ungranted = 0
        self.outside.write(b"".join(self._answers))
        self._answers.clear()
        if self.outside.is_full:
            self.balance()


async def spliced(outside: socket.socket, inside: socket.socket, begin: bytes, short_calls: ShortCalls, peer: Peer) -> None:
    """Pass a connection on until either end closes it.

    Parameters
    ----------
    outside
        Connection to the client.
    inside
        Connection to the gRPC server.
    begin
        What was read from the client already.
    short_calls, peer
        As in :class:`Splice`.
    """
    loop = asyncio.get_running_loop()
    splice = Splice(short_calls, peer, begin)
    ends = (splice.outside, splice.inside)
    try:
        await loop.connect_accepted_socket(lambda: splice.inside, inside)
        await loop.connect_accepted_socket(lambda: splice.outside, outside)
        await asyncio.wait([end.is_lost for end in ends], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([end.is_lost for end in ends], timeout=_LAST_BYTES_S)
    finally:
        for end in ends:
            end.abort()
