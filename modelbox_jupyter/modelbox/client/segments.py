"""The file format of journals on disk: records in checksummed frames, read back as columns.

::

    segment = magic "MBXJRNL1" | frame ...
    frame   = length u32 | CRC-32 of the payload u32 | payload                       (little-endian, a multiple of 8 bytes)
    payload = kind u32 | layout u32 | content, by kind:
    LAYOUT  = JSON [object id, [metric, ...]]                                        what NUMBERS of this layout are
    NUMBERS = step i64 | wall clock i64 | one f64 per metric of the layout
    MIXED   = step i64 | wall clock i64 | bytes of JSON u32 | 0 u32 | JSON [object id, [[metric, kind, bytes], ...]] | values
    CALL    = JSON                                                                   an operation (modelbox.client.operations)

A layout stands in every segment that uses it, so each segment can be read alone. A frame is written with one ``write``; what a dying
process or machine leaves half written is at the end, and a reader stops there. Everything is a multiple of eight bytes so that the
columns of equal frames are strided slices: reading makes no Python object per point, which keeps the sender out of training's way.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from modelbox.client.buffer import Columns, Record

if TYPE_CHECKING:
    from modelbox.client.values import Value
    from modelbox.entities.series import SeriesBlock

__all__ = ["MAGIC", "Folded", "Layouts", "RecordEncoder", "call_frame", "fold", "framed", "whole_payloads"]

MAGIC = b"MBXJRNL1"
"""How every segment begins; the digit is the version of the format."""

Layouts: TypeAlias = dict[int, tuple[str, list[str]]]
"""Object id and metrics of the layouts that a segment explained so far."""

_LAYOUT, _NUMBERS, _MIXED, _CALL = 1, 2, 3, 4
_MAX_LAYOUTS = 4096
_MAX_FRAME_BYTES = 1 << 30
_FRAME = struct.Struct("<II")
_TAG = struct.Struct("<II")
_MOMENT = struct.Struct("<qq")
_DOUBLE = struct.Struct("<d")

Packer: TypeAlias = Callable[..., bytes]
Explained: TypeAlias = tuple[tuple[str, ...], Packer]
"""A layout that a reader knows once it has read the frames: object id and metrics, and what packs them."""


def framed(payload: bytes) -> bytes:
    """Return `payload` as a frame."""
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def whole_payloads(data: bytes) -> tuple[list[bytes], int]:
    """Return the payloads of the whole frames that `data` begins with, and how many bytes those frames take."""
    payloads: list[bytes] = []
    place = 0
    while place + 8 <= len(data):
        length, checksum = _FRAME.unpack_from(data, place)
        payload = data[place + 8 : place + 8 + length]
        if len(payload) < length or zlib.crc32(payload) != checksum:
            break
        payloads.append(payload)
        place += 8 + length
    return payloads, place


class RecordEncoder:
    """Turns the records of one segment into frames."""

    def __init__(self) -> None:
        self._packers: dict[tuple[str, ...], Packer] = {}
        self._ids = itertools.count(1)

    def encode(self, record: Record) -> tuple[bytes, Explained | None]:
        """Return the frames of a record, and what they explain: to be given to :meth:`confirm` when they are in the file."""
        object_id, step, wall_time_us, values = record
        packer = self._packers.get((object_id, *values))
        try:
            if packer is not None:
                payload = packer(step, wall_time_us, *values.values())
                return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload, None
            if len(self._packers) >= _MAX_LAYOUTS:  # names that never repeat: explaining each would cost more than it saves
                return _mixed(record), None
            layout = next(self._ids)
            packer = partial(struct.Struct(f"<IIqq{len(values)}d").pack, _NUMBERS, layout)
            payload = packer(step, wall_time_us, *values.values())
        except struct.error:  # text or bytes among the values
            return _mixed(record), None
        return _layout(layout, object_id, list(values)) + framed(payload), ((object_id, *values), packer)

    def confirm(self, explained: Explained) -> None:
        """Use a layout from now on without explaining it again."""
        key, packer = explained
        self._packers[key] = packer


def call_frame(text: bytes) -> bytes:
    """Return the frame of an operation, given as JSON."""
    return framed(_TAG.pack(_CALL, 0) + text + b" " * (-len(text) % 8))


def _layout(layout: int, object_id: str, keys: list[str]) -> bytes:
    text = msgspec.json.encode([object_id, keys])
    return framed(_TAG.pack(_LAYOUT, layout) + text + b" " * (-len(text) % 8))


def _mixed(record: Record) -> bytes:
    parts = [(key, *_value_bytes(value)) for key, value in record.values.items()]
    text = msgspec.json.encode([record.object_id, [(key, kind, len(data)) for key, kind, data in parts]])
    data = b"".join(data for _, _, data in parts)
    head = _TAG.pack(_MIXED, 0) + _MOMENT.pack(record.step, record.wall_time_us) + _TAG.pack(len(text), 0)
    return framed(head + text + data + b"\0" * (-(len(text) + len(data)) % 8))


def _value_bytes(value: Value) -> tuple[str, bytes]:
    if isinstance(value, bytes):
        return "b", value
    if isinstance(value, str):
        # Lone surrogates are for the store to refuse, with a sentence that names the metric.
        return "t", value.encode("utf-8", "surrogatepass")
    return "d", _DOUBLE.pack(value)


def _value(kind: str, data: bytes) -> Value:
    match kind:
        case "d":
            value: float = _DOUBLE.unpack(data)[0]
            return value
        case "t":
            return data.decode("utf-8", "surrogatepass")
        case _:
            return data


@dataclass(frozen=True, slots=True)
class Folded:
    """Records as columns, up to the next operation; or that operation, when it comes first.

    Parameters
    ----------
    blocks
        One per series.
    points
        How many points they hold.
    used_bytes
        How much of the data was whole frames; the rest is to be read again, with what follows it.
    damaged
        Whether reading stopped at a frame that cannot become whole, however much follows.
    first_byte
        Where the first record or operation begins; layouts may stand before it.
    call
        The operation, as JSON.
    """

    blocks: list[SeriesBlock]
    points: int
    used_bytes: int
    damaged: bool
    first_byte: int
    call: bytes | None


def fold(data: bytes, layouts: Layouts, *, verify: bool) -> Folded:
    """Return the records that `data`, whole frames from a segment, begins with, as columns; or the operation that it begins with.

    Parameters
    ----------
    data
        Begins with a frame, not with the magic.
    layouts
        What the segment explained before; what `data` explains is added.
    verify
        Check checksums: for what another process wrote. Of what this process wrote itself, all frames are whole.
    """
    reader = _Reader(data, layouts, verify=verify)
    reader.read()
    return Folded(reader.columns.blocks(), reader.columns.points, reader.word * 8, reader.damaged, reader.first_word * 8, reader.call)


class _Reader:
    def __init__(self, data: bytes, layouts: Layouts, *, verify: bool) -> None:
        self.columns = Columns()
        self.word = 0
        self.first_word = -1
        self.damaged = False
        self.call: bytes | None = None
        self._data = data
        self._view = memoryview(data)
        self._words = self._view[: len(data) // 8 * 8].cast("q")
        self._layouts = layouts
        self._verify = verify

    def read(self) -> None:
        while self.word + 2 <= len(self._words) and not self.damaged and self.call is None:
            length, _ = _FRAME.unpack_from(self._data, self.word * 8)
            if length < 8 or length % 8 or length > _MAX_FRAME_BYTES:
                self.damaged = True
                return
            words = 1 + length // 8
            if self.word + words > len(self._words):
                return
            if self._verify and not self._is_whole(self.word, words):
                self.damaged = True
                return
            if not self._read_frames(words):
                return

    def _is_whole(self, word: int, words: int) -> bool:
        length, checksum = _FRAME.unpack_from(self._data, word * 8)
        return bool(length == (words - 1) * 8) and zlib.crc32(self._view[word * 8 + 8 : (word + words) * 8]) == checksum

    def _read_frames(self, words: int) -> bool:
        """Read the frame here, and those of the same layout that follow it; ``False`` when it does not belong to what was read."""
        begin = self.word * 8 + 8
        kind, layout = _TAG.unpack_from(self._data, begin)
        if kind == _CALL and self.columns.points:
            return False
        if kind != _LAYOUT and self.first_word < 0:
            self.first_word = self.word
        count = 1
        if kind == _NUMBERS and layout in self._layouts and len(self._layouts[layout][1]) == words - 4:
            count = self._run_length(words)
            self._add_run(words, count, *self._layouts[layout])
        elif kind == _LAYOUT:
            self._layouts[layout] = msgspec.json.decode(self._view[begin + 8 : begin + words * 8 - 8], type=tuple[str, list[str]])
        elif kind == _MIXED:
            self.columns.add(self._mixed(begin + 8))
        elif kind == _CALL:
            self.call = bytes(self._view[begin + 8 : begin + words * 8 - 8])
        else:
            self.damaged = True
            return False
        self.word += words * count
        return True

    def _run_length(self, words: int) -> int:
        """Return how many frames with the layout of this one stand here in a row.

        Each has the same length as this one, so that where one ends the next begins; doubling and halving finds the last in few
        comparisons.
        """
        tag = bytes(self._view[self.word * 8 + 8 : self.word * 8 + 16])
        most = (len(self._words) - self.word) // words

        def same(begin: int, end: int) -> bool:
            tags: bytes = self._words[self.word + begin * words + 1 : self.word + end * words : words].tobytes()
            return tags == tag * (end - begin)

        known = 1
        while known < most and same(known, wider := min(2 * known, most)):
            known = wider
        beyond = min(2 * known, most)
        while known < beyond:
            middle = (known + beyond + 1) // 2
            if same(known, middle):
                known = middle
            else:
                beyond = middle - 1
        if self._verify:
            for index in range(1, known):
                if not self._is_whole(self.word + index * words, words):
                    return index
        return known

    def _add_run(self, words: int, count: int, object_id: str, keys: list[str]) -> None:
        end = self.word + words * count

        def column(place: int) -> bytes:
            return self._words[self.word + place : end : words].tobytes()

        self.columns.extend(object_id, keys, column(2), column(3), (column(4 + number) for number in range(len(keys))))

    def _mixed(self, begin: int) -> Record:
        step, wall_time_us = _MOMENT.unpack_from(self._data, begin)
        text_bytes, _ = _TAG.unpack_from(self._data, begin + 16)
        place = begin + 24 + text_bytes
        object_id, parts = msgspec.json.decode(self._view[begin + 24 : place], type=tuple[str, list[tuple[str, str, int]]])
        values: dict[str, Value] = {}
        for key, kind, size in parts:
            values[key] = _value(kind, self._data[place : place + size])
            place += size
        return Record(object_id, step, wall_time_us, values)
