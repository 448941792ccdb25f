"""Chunks give back what was packed, take few bytes, and know when they are damaged."""

import contextlib
import random
import zlib

import numpy as np
import pytest

from modelbox.entities.series import ValueKind
from modelbox_server.storage.metrics.chunks import MAX_CHUNK_POINTS, DamagedChunk, packed, unpacked
from modelbox_server.storage.metrics.columns import Floats, Integers, Points

COUNT = 4096
DICE = np.random.default_rng(5)
STEPS = np.arange(COUNT)
CLOCKS_US = 1_700_000_000_000_000 + np.cumsum(DICE.integers(1500, 2600, COUNT))
LOSS = np.exp(-STEPS / 1000) + DICE.normal(0, 0.02, COUNT)


def chunk(values: Floats = LOSS, steps: Integers = STEPS, clocks_us: Integers = CLOCKS_US) -> bytes:
    return packed(Points(ValueKind.FLOAT, steps, clocks_us, values))


@pytest.mark.parametrize(
    ("values", "most_bytes_per_point"),
    [
        (LOSS, 10.1),
        (LOSS.astype(np.float32).astype(np.float64), 6.1),
        (STEPS % 100 + 0.0, 3.5),
        (np.full(COUNT, 0.1), 2.1),
        (np.full(COUNT, np.nan), 2.1),
        (np.full(COUNT, -0.0), 2.1),
        (DICE.integers(0, 2**64, COUNT, dtype=np.uint64).view(np.float64), 10.1),
    ],
    ids=["doubles", "singles", "integers", "constant", "nan", "minus zero", "random bits"],
)
def test_floats_come_back_bit_for_bit_in_few_bytes(values: Floats, most_bytes_per_point: float) -> None:
    data = chunk(values)
    points = unpacked(data)
    assert isinstance(points.values, np.ndarray)
    assert points.values.tobytes() == values.tobytes()
    assert np.array_equal(points.steps, STEPS)
    assert np.array_equal(points.clocks_us, CLOCKS_US)
    assert len(data) / COUNT < most_bytes_per_point


@pytest.mark.parametrize("width", range(1, 65, 7))
def test_integers_of_every_width_come_back(width: int) -> None:
    steps = np.array([0, *(sign * (2 ** (width - 1) - 1) for sign in (1, -1, 1)), -(2**63), 2**63 - 1][: 4 + 2 * (width > 60)])
    points = unpacked(chunk(np.zeros(len(steps)), steps, -steps))
    assert np.array_equal(points.steps, steps)
    assert np.array_equal(points.clocks_us, -steps)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_points_are_a_chunk_too(count: int) -> None:
    for kind, values in (
        (ValueKind.FLOAT, LOSS[:count]),
        (ValueKind.TEXT, ["é", "", "x"][:count]),
        (ValueKind.BYTES, [b"", b"\0", b"x"][:count]),
    ):
        points = unpacked(packed(Points(kind, STEPS[:count], CLOCKS_US[:count], values)))
        assert (points.kind, list(points.values)) == (kind, list(values))


def test_repeating_texts_are_deflated() -> None:
    texts = ["the same long sentence again and again"] * 1000
    data = packed(Points(ValueKind.TEXT, STEPS[:1000], CLOCKS_US[:1000], texts))
    assert len(data) < 5000
    assert unpacked(data).values == texts


# What version 1 wrote for the steps 3000 n², a clock that ticks, and twelve doubles; and for twelve numbers of single precision.
DOUBLES_OF_VERSION_1 = (
    "01000c00000001270000000000000000000000b80b0000000000000200007017e02e5046c05d3075a08c10a480bbf0d260ea001000000000401e1824"
    "0a060001000000000000000268000000000000000000000000000000000000000000010000000000dcb66ddbb66d9224499224499424499224490000"
    "00000000902449922449942449922449dcb66ddbb66d9224499224497801fbc1f081e1f6a5430c872edd7e54df50cfb07fff7e067b200000acbb0c60"
    "24440638"
)
SINGLES_OF_VERSION_1 = (
    "01000c00000001270000000000000000000000b80b0000000000000200007017e02e5046c05d3075a08c10a480bbf0d260ea001000000000401e1824"
    "0a060001000000000000000133000000cdcc33339a999a99cdcccdcccdcccdcc666666666666666678013bb35932b267cd99376c626a66b676f660e0"
    "0004007c0d084f2fe36b3b"
)


def test_chunks_of_version_1_are_read() -> None:
    doubles = np.array([np.nan, -0.0, np.inf, 5e-324, *(np.arange(4, 12) / 7 - 1)])
    singles = (np.float32(0.1) + np.arange(12, dtype=np.float32) / 4).astype(np.float64)
    for data, values in ((DOUBLES_OF_VERSION_1, doubles), (SINGLES_OF_VERSION_1, singles)):
        points = unpacked(bytes.fromhex(data))
        assert isinstance(points.values, np.ndarray)
        assert points.values.tobytes() == values.tobytes()
        assert np.array_equal(points.steps, 3000 * np.arange(12) ** 2)
        assert np.array_equal(points.clocks_us, 1_700_000_000_000_000 + np.arange(12))


def test_a_pause_between_steps_does_not_widen_all_clocks() -> None:
    clocks_us = 1_700_000_000_000_000 + np.cumsum(DICE.integers(0, 200, COUNT))
    clocks_us[1000:] += 3_600_000_000
    data = chunk(np.zeros(COUNT), clocks_us=clocks_us)
    assert len(data) / COUNT < 1.1
    assert np.array_equal(unpacked(data).clocks_us, clocks_us)


def test_any_changed_byte_is_noticed() -> None:
    data, dice = chunk(), random.Random(1)  # noqa: S311
    for _ in range(500):
        changed = bytearray(data)
        changed[dice.randrange(len(data))] ^= dice.randint(1, 255)
        with pytest.raises(DamagedChunk, match="checksum"):
            unpacked(bytes(changed))


@pytest.mark.parametrize("stop", [0, 3, 12, 100, -1])
def test_a_chunk_that_is_cut_off_is_noticed(stop: int) -> None:
    with pytest.raises(DamagedChunk):
        unpacked(chunk()[:stop])


def test_nonsense_with_a_right_checksum_is_an_error_as_well() -> None:
    """A mistake of ours must not become wrong points, nor another exception."""
    data, dice = chunk(LOSS[:50], STEPS[:50] ** 2, CLOCKS_US[:50])[:-4], random.Random(2)  # noqa: S311
    for _ in range(2000):
        changed = bytearray(data)
        changed[dice.randrange(35)] = dice.randrange(256)
        with contextlib.suppress(DamagedChunk):
            assert 0 < len(unpacked(bytes(changed) + zlib.crc32(changed).to_bytes(4, "little"))) <= MAX_CHUNK_POINTS


def test_a_newer_format_is_refused_by_number() -> None:
    body = b"\x03" + chunk()[1:-4]
    with pytest.raises(DamagedChunk, match="format 3, which a newer ModelBox writes"):
        unpacked(body + zlib.crc32(body).to_bytes(4, "little"))
