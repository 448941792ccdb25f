"""Compressed headers of HTTP/2 (HPACK, RFC 7541): what the blocks of one connection say, each of which may refer to those before it."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["HeaderDecoder", "Pair", "ProtocolError"]

Pair = tuple[bytes, bytes]
"""Name and value of a header."""


class ProtocolError(Exception):
    """The other end does not speak HTTP/2 as it should."""


_STATIC_TEXT = (
    ":authority,,:method,GET,:method,POST,:path,/,:path,/index.html,:scheme,http,:scheme,https,:status,200,:status,204,:status,206,:status,304,"
    ":status,400,:status,404,:status,500,accept-charset,,accept-encoding,gzip; deflate,accept-language,,accept-ranges,,accept,,"
    "access-control-allow-origin,,age,,allow,,authorization,,cache-control,,content-disposition,,content-encoding,,content-language,,"
    "content-length,,content-location,,content-range,,content-type,,cookie,,date,,etag,,expect,,expires,,from,,host,,if-match,,"
    "if-modified-since,,if-none-match,,if-range,,if-unmodified-since,,last-modified,,link,,location,,max-forwards,,proxy-authenticate,,"
    "proxy-authorization,,range,,referer,,refresh,,retry-after,,server,,set-cookie,,strict-transport-security,,transfer-encoding,,"
    "user-agent,,vary,,via,,www-authenticate,"
)
_STATIC_WORDS = [word.replace(";", ",").encode() for word in _STATIC_TEXT.split(",")]
_STATIC: Final[tuple[Pair, ...]] = tuple(zip(_STATIC_WORDS[::2], _STATIC_WORDS[1::2], strict=True))
"""Appendix A: the headers that need not be said."""

_LENGTHS: Final = (
    "DNSSSSSSSOUSSUSSSSSSSSUSSSSSSSSS6AACD68BAA8B8666555666666678F6CAD67777777777777777777777878DJDE6F56565666577666567655677777FBEDS"
    "KMKKMMMNMNNNNNONOOMNONNNNLMNMNNOMLKMMNNLNMMOLMNNLLMLNMNNKMMMNMMNQQKJMNMPQQQRRQOPJLQRRQROLLQQSRRRKOKLMLLNMMPPOOQNQRQQRRRRRSRRRRRQU"
)
"""Appendix B: the lengths of the codes of all bytes and of the end, in base 36. The code is canonical, so the lengths say all of it."""

_END: Final = 256
_ENTRY_BYTES: Final = 32
"""What an entry counts beyond its texts (section 4.1)."""

_TABLE_BYTES: Final = 4_096
_MOST: Final = 2**28


class _OfLength(NamedTuple):
    """The codes of one length: consecutive numbers from the first on."""

    first: int
    symbols: list[int]


def _codes() -> list[_OfLength]:
    lengths = [int(digit, 36) for digit in _LENGTHS]
    made = [_OfLength(0, [])]
    first = 0
    for length in range(1, max(lengths) + 1):
        first = (first + len(made[-1].symbols)) << 1
        made.append(_OfLength(first, [symbol for symbol in range(len(lengths)) if lengths[symbol] == length]))
    return made


_CODES: Final = _codes()


class HeaderDecoder:
    """Reads blocks in their order.

    Parameters
    ----------
    max_bytes
        Most bytes that the headers of a block may have once they are read.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._limit_bytes = _TABLE_BYTES
        self.allowed_bytes = _TABLE_BYTES
        """How much the other end may let us remember."""
        self.remembered: list[Pair] = []
        """What later blocks may refer to, newest first."""

    def decode(self, block: bytes) -> list[Pair]:
        """Return the headers of the next block.

        Raises
        ------
        ProtocolError
            It is malformed, refers to what was never said, or says too much. The decoder is of no further use.
        """
        pairs: list[Pair] = []
        at = said_bytes = 0
        try:
            while at < len(block):
                if block[at] & 0xE0 == 0x20:
                    if pairs:
                        raise ProtocolError("the size of the table changes in the middle of a block")
                    size, at = _integer(block, at, 5)
                    self._resize(size)
                    continue
                pair, at = self._field(block, at)
                said_bytes += len(pair[0]) + len(pair[1]) + _ENTRY_BYTES
                if said_bytes > self._max_bytes:
                    raise ProtocolError("the headers of a call are too long")
                pairs.append(pair)
        except IndexError as error:
            raise ProtocolError("a block of headers ends too early") from error
        return pairs

    def _field(self, block: bytes, at: int) -> tuple[Pair, int]:
        first = block[at]
        if first & 0x80:
            index, at = _integer(block, at, 7)
            return self._entry(index), at
        is_kept = bool(first & 0x40)
        index, at = _integer(block, at, 6 if is_kept else 4)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _text(block, at)
        value, at = _text(block, at)
        if is_kept:
            self._remember((name, value))
        return (name, value), at

    def _entry(self, index: int) -> Pair:
        if 0 < index <= len(_STATIC):
            return _STATIC[index - 1]
        own = index - len(_STATIC) - 1
        if own < 0 or own >= len(self.remembered):
            raise ProtocolError("a header is named that was never said")
        return self.remembered[own]

    def _remember(self, pair: Pair) -> None:
        self.remembered.insert(0, pair)
        self._size_bytes += len(pair[0]) + len(pair[1]) + _ENTRY_BYTES
        self._forget()

    def _resize(self, limit_bytes: int) -> None:
        if limit_bytes > self.allowed_bytes:
            raise ProtocolError("a table of headers is larger than allowed")
        self._limit_bytes = limit_bytes
        self._forget()

    def _forget(self) -> None:
        while self._size_bytes > self._limit_bytes:
            name, value = self.remembered.pop()
            self._size_bytes -= len(name) + len(value) + _ENTRY_BYTES


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Return an integer that begins in the last `bits` bits of a byte (section 5.1), and where it ends."""
    most = (1 << bits) - 1
    number = block[at] & most
    at += 1
    if number < most:
        return number, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        number += (byte & 0x7F) << shift
        shift += 7
        if number > _MOST or shift > 35:
            raise ProtocolError("an integer is too large")
        if byte < 0x80:
            return number, at


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    is_coded = bool(block[at] & 0x80)
    size, at = _integer(block, at, 7)
    end = at + size
    if end > len(block):
        raise ProtocolError("a text is longer than its block")
    return (_decoded(block[at:end]) if is_coded else block[at:end]), end


def _decoded(data: bytes) -> bytes:
    """Return what a text in the code of appendix B says."""
    text = bytearray()
    code = length = 0
    for byte in data:
        for shift in range(7, -1, -1):
            code = code << 1 | (byte >> shift & 1)
            length += 1
            if length >= len(_CODES):
                raise ProtocolError("a text has a code that there is not")
            first, symbols = _CODES[length]
            if 0 <= code - first < len(symbols):
                symbol = symbols[code - first]
                if symbol == _END:
                    raise ProtocolError("a text goes on behind its end")
                text.append(symbol)
                code = length = 0
    if length > 7 or code != (1 << length) - 1:
        raise ProtocolError("a text is filled up with something else than ones")
    return bytes(text)
