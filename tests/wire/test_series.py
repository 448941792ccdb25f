"""Blocks of points survive the wire bit for bit, and nothing that arrives there can hurt the reader."""

import contextlib
import io
import json
import math
import random
import struct
import subprocess
import sys
from array import array
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from modelbox.entities.series import SeriesBlock, ValueKind
from modelbox.errors import InvalidRequest, TooLarge, UnsupportedMedia
from modelbox.wire import json as wire_json
from modelbox.wire.messages import MetricsJson, SeriesJson
from modelbox.wire.series import blocks_from_arrow, blocks_from_json, blocks_to_arrow, blocks_to_json

KEY = "val/loss @1"
HOSTILE = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308, 1.5]
STEPS = [2**63 - 1, -(2**63), 0, 0, -1, 7, 7]


def float_block(values: list[float] = HOSTILE, steps: list[int] = STEPS) -> SeriesBlock:
    clocks = array("q", [(-1) ** step * 1_700_000_000_000_000 for step in range(len(values))])
    return SeriesBlock(object_id="a" * 40, key=KEY, steps=array("q", steps), wall_times_us=clocks, values=array("d", values))


def all_kinds() -> list[SeriesBlock]:
    def small(key: str, kind: ValueKind, values: list[str] | list[bytes]) -> SeriesBlock:
        columns = np.arange(len(values), dtype=np.int64)
        return SeriesBlock(object_id="équipe", key=key, kind=kind, steps=columns, wall_times_us=columns, values=values)

    nothing = SeriesBlock(object_id="b" * 40, key="nothing", steps=b"", wall_times_us=b"", values=b"")
    return [float_block(), small("été", ValueKind.TEXT, ["", "NaN", "日本\0語"]), nothing, small(KEY, ValueKind.BYTES, [b"\x00\xff", b""])]


Bits = tuple[object, ...]


def bits(blocks: list[SeriesBlock]) -> list[Bits]:
    return [
        (
            block.object_id,
            block.key,
            block.kind,
            bytes(memoryview(block.steps)),
            bytes(memoryview(block.wall_times_us)),
            list(block.values) if isinstance(block.values, list) else bytes(memoryview(block.values)),
        )
        for block in blocks
    ]


SCHEMA = pa.schema(
    [
        ("object_id", pa.string()),
        ("key", pa.string()),
        ("step", pa.large_list(pa.int64())),
        ("wall_time", pa.large_list(pa.timestamp("us", "UTC"))),
        ("value", pa.large_list(pa.float64())),
        ("text", pa.large_list(pa.string())),
        ("bytes", pa.large_list(pa.binary())),
    ]
)
ROW = {"object_id": "a", "key": KEY, "step": [1, 2], "wall_time": [3, 4], "value": [0.5, math.nan], "text": None, "bytes": None}


def stream_of(rows: list[dict[str, object]], schema: pa.Schema = SCHEMA, **options: object) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return out.getvalue()


class TestArrow:
    def test_every_value_comes_back_bit_for_bit(self) -> None:
        assert bits(blocks_from_arrow(blocks_to_arrow(all_kinds()))) == bits(all_kinds())

    def test_no_blocks_are_a_stream_without_rows(self) -> None:
        assert blocks_from_arrow(blocks_to_arrow([])) == []

    def test_pyarrow_reads_the_stream_that_the_docstring_describes(self) -> None:
        table = pa.ipc.open_stream(blocks_to_arrow(all_kinds())).read_all()
        table.validate(full=True)
        assert table.schema.equals(SCHEMA)
        assert table["text"].to_pylist()[1] == ["", "NaN", "日本\0語"]
        assert [column[0] is None for column in (table["value"].to_pylist(), table["text"].to_pylist())] == [False, True]

    def test_polars_explodes_it_into_the_long_form(self) -> None:
        frame = pl.read_ipc_stream(blocks_to_arrow([float_block()])).explode("step", "wall_time", "value")
        assert frame["step"].to_list() == STEPS
        assert struct.pack("7d", *frame["value"].to_list()) == struct.pack("7d", *HOSTILE)

    def test_what_pyarrow_and_polars_write_is_read(self) -> None:
        """Offsets of 32 bits (plain lists of pyarrow) and of 64 bits (polars) mean the same."""
        narrow = pa.schema(
            [
                (name, pa.list_(type_.value_type) if pa.types.is_large_list(type_) else type_)
                for name, type_ in zip(SCHEMA.names, SCHEMA.types, strict=True)
            ]
        )
        out = io.BytesIO()
        pl.from_arrow(pa.Table.from_pylist([ROW], schema=SCHEMA)).write_ipc_stream(out, compat_level=pl.CompatLevel.oldest())
        for stream in (stream_of([ROW, ROW], narrow), stream_of([ROW, ROW]), out.getvalue()):
            block = blocks_from_arrow(stream)[-1]
            assert (block.key, list(memoryview(block.steps).cast("B").cast("q"))) == (KEY, [1, 2])

    def test_several_record_batches_and_sliced_tables_are_read(self) -> None:
        rows = [{**ROW, "step": [n, n + 1]} for n in range(5)]
        out = io.BytesIO()
        with pa.ipc.new_stream(out, SCHEMA) as writer:
            for batch in pa.Table.from_pylist(rows, schema=SCHEMA).slice(1, 3).to_batches(max_chunksize=2):
                writer.write_batch(batch)
        assert [memoryview(block.steps)[0] for block in blocks_from_arrow(out.getvalue())] == [1, 2, 3]

    def test_list_views_carry_shared_steps_once(self) -> None:
        alike = [replace(float_block(HOSTILE * 100, STEPS * 100), key=f"k{number}") for number in range(20)]
        blocks = [*alike, *all_kinds(), *alike]
        stream = blocks_to_arrow(blocks, list_views=True)
        assert bits(blocks_from_arrow(stream)) == bits(blocks)
        assert len(stream) < 0.4 * len(blocks_to_arrow(blocks))
        table = pa.ipc.open_stream(stream).read_all()
        table.validate(full=True)
        assert table.schema.field("step").type == pa.large_list_view(pa.int64())
        assert table["step"].to_pylist()[0] == table["step"].to_pylist()[-1] == STEPS * 100
        found = blocks_from_arrow(stream)
        assert found[0].steps is found[19].steps

    def test_list_views_that_pyarrow_writes_are_read(self) -> None:
        for view in (pa.list_view, pa.large_list_view):
            schema = pa.schema([(field.name, view(field.type.value_type) if field.name == "step" else field.type) for field in SCHEMA])
            steps = view(pa.int64())
            columns = [pa.array([ROW[name]] * 3, steps if name == "step" else SCHEMA.field(name).type) for name in SCHEMA.names]
            columns[2] = columns[2].from_arrays([1, 0, 1], [2, 2, 2], pa.array([7, 8, 9]), type=steps)
            out = io.BytesIO()
            with pa.ipc.new_stream(out, schema) as writer:
                writer.write_batch(pa.record_batch(columns, schema=schema))
            assert [list(memoryview(block.steps)) for block in blocks_from_arrow(out.getvalue())] == [[8, 9], [7, 8], [8, 9]]

    def test_list_views_are_only_for_steps_and_clocks(self) -> None:
        schema = pa.schema([(field.name, pa.large_list_view(pa.float64()) if field.name == "value" else field.type) for field in SCHEMA])
        with pytest.raises(InvalidRequest, match="'value'"):
            blocks_from_arrow(stream_of([], schema))

    @pytest.mark.parametrize("cut", [0, 1, 8, 100, 700, -9, -8, -1])
    def test_a_stream_that_was_cut_off_is_refused(self, cut: int) -> None:
        with pytest.raises(InvalidRequest, match="Arrow IPC stream"):
            blocks_from_arrow(blocks_to_arrow(all_kinds())[:cut])

    @pytest.mark.parametrize("compression", ["zstd", "lz4"])
    def test_compressed_bodies_are_refused_with_the_way_out(self, compression: str) -> None:
        with pytest.raises(UnsupportedMedia, match="uncompressed"):
            blocks_from_arrow(stream_of([ROW], compression=compression))

    @pytest.mark.parametrize(
        ("name", "type_"),
        [
            ("key", pa.dictionary(pa.int32(), pa.string())),
            ("step", pa.large_list(pa.uint64())),
            ("step", pa.large_list(pa.int32())),
            ("wall_time", pa.large_list(pa.timestamp("ms", "UTC"))),
            ("wall_time", pa.large_list(pa.timestamp("us"))),
            ("value", pa.large_list(pa.float32())),
            ("value", pa.large_list(pa.dictionary(pa.int32(), pa.float64()))),
            ("text", pa.large_list(pa.string_view())),
            ("bytes", pa.large_list(pa.binary(2))),
        ],
    )
    def test_a_column_of_another_type_is_refused_by_name(self, name: str, type_: pa.DataType) -> None:
        schema = pa.schema([(field.name, type_ if field.name == name else field.type) for field in SCHEMA])
        with pytest.raises(InvalidRequest, match=f"'{name}'"):
            blocks_from_arrow(stream_of([], schema))

    @pytest.mark.parametrize("columns", [SCHEMA.names[:-1], [*SCHEMA.names[1:], "object_id"], [*SCHEMA.names, "key"]])
    def test_other_columns_are_refused(self, columns: list[str]) -> None:
        schema = pa.schema([SCHEMA.field(name) for name in columns])
        with pytest.raises(InvalidRequest, match="send exactly object_id, key"):
            blocks_from_arrow(stream_of([], schema))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"step": [1]}, "different lengths"),
            ({"value": [1.0]}, "different lengths"),
            ({"value": None}, "has 0 of value"),
            ({"text": ["a", "b"]}, "has 2 of value"),
            ({"step": [1, None]}, "'step' .* nulls"),
            ({"value": [1.0, None]}, "'value' .* nulls"),
            ({"step": None}, "'step' .* nulls"),
            ({"key": None}, "'key' .* nulls"),
        ],
    )
    def test_a_row_that_makes_no_sense_is_refused(self, change: dict[str, object], message: str) -> None:
        with pytest.raises(InvalidRequest, match=message):
            blocks_from_arrow(stream_of([ROW | change]))

    def test_too_many_points_are_refused(self) -> None:
        with pytest.raises(TooLarge, match="more than 6 points"):
            blocks_from_arrow(blocks_to_arrow([float_block()]), max_points=6)

    def test_an_answer_has_as_many_points_as_were_asked_for(self) -> None:
        sent = blocks_to_arrow([float_block()] * 3)
        assert len(blocks_from_arrow(sent, max_points=None)) == 3

    def test_columns_of_different_length_are_not_written(self) -> None:
        with pytest.raises(InvalidRequest, match="7 steps, 2 wall clocks and 2 values"):
            blocks_to_arrow([float_block([1.0, 2.0])])

    def test_a_lone_surrogate_is_not_written(self) -> None:
        block = SeriesBlock(object_id="a", key="k", kind=ValueKind.TEXT, steps=bytes(8), wall_times_us=bytes(8), values=["\ud800"])
        with pytest.raises(InvalidRequest, match="lone surrogate"):
            blocks_to_arrow([block])

    def test_damaged_bytes_end_in_blocks_or_in_an_error(self) -> None:
        """Whoever may write metrics must not be able to end the server: see the remark in modelbox.wire.flatbuffers."""
        streams = [blocks_to_arrow(all_kinds(), list_views=list_views) for list_views in (False, True)]
        dice = random.Random(7)  # noqa: S311
        for turn in range(4000):
            stream = streams[turn % 2]
            damaged = bytearray(stream)
            for _ in range(dice.randint(1, 4)):
                damaged[dice.randrange(len(stream))] = dice.choice([0, 1, 127, 128, 255])
            with contextlib.suppress(InvalidRequest):  # and nothing else, least of all a crash
                bits(blocks_from_arrow(damaged))


class TestJson:
    def test_every_value_comes_back_bit_for_bit(self) -> None:
        """Through the real bytes: NaN and the infinities are strings there, bytes are base64."""
        body = wire_json.encode(blocks_to_json(all_kinds()))
        assert b"null" not in body
        assert bits(blocks_from_json(wire_json.decode(body, MetricsJson))) == bits(all_kinds())

    def test_steps_left_out_count_from_zero_and_clocks_are_now(self) -> None:
        (block,) = blocks_from_json(MetricsJson(series=[SeriesJson(key=KEY, values=[1.0, 2.0])]), object_id="a" * 40)
        assert block.object_id == "a" * 40
        assert list(memoryview(block.steps)) == [0, 1]
        assert all(clock > 1_700_000_000_000_000 for clock in memoryview(block.wall_times_us))

    @pytest.mark.parametrize(
        ("series", "message"),
        [
            ({"values": [True]}, "values"),
            ({"values": ["nan"]}, r"series\[0\]\.values\[0\] is 'nan'"),
            ({"values": [1.0, None]}, "values"),
            ({"values": [1.0], "steps": [2**63]}, "outside 64 bits"),
            ({"values": [1.0], "steps": [1.5]}, "steps"),
            ({"values": [1.0], "steps": [True]}, "steps"),
            ({"values": [1.0], "steps": [1, 2]}, "2 steps, 1 wall clocks and 1 values"),
            ({"values": [1.0], "wall_times_us": [-(2**63) - 1]}, "outside 64 bits"),
            ({"values": [1.0], "kind": "text"}, "values of a text series are text"),
            ({"values": ["é"], "kind": "bytes"}, "base64"),
            ({"values": ["\ud800"], "kind": "text"}, "lone surrogate"),
            ({"values": [10**400]}, "values"),
        ],
    )
    def test_a_value_that_does_not_fit_is_refused_by_place(self, series: dict[str, object], message: str) -> None:
        body = json.dumps({"series": [{"key": KEY, **series}]}).encode()
        with pytest.raises(InvalidRequest, match=message):
            blocks_from_json(wire_json.decode(body, MetricsJson))

    def test_python_booleans_are_not_numbers_either(self) -> None:
        for make in _with_booleans():
            with pytest.raises(InvalidRequest):
                blocks_from_json(MetricsJson(series=[make()]))

    def test_too_many_points_are_refused(self) -> None:
        with pytest.raises(TooLarge, match="3 points, and a JSON batch at most 2"):
            blocks_from_json(MetricsJson(series=[SeriesJson(key=KEY, values=[1.0, 2.0, 3.0])]), max_points=2)


def _with_booleans() -> list[Callable[[], SeriesJson]]:
    return [lambda: SeriesJson(key=KEY, values=[True]), lambda: SeriesJson(key=KEY, values=[1.0], steps=[True])]


def test_a_client_needs_neither_numpy_nor_pyarrow() -> None:
    program = "import sys, modelbox.wire.series; print(sorted({'numpy', 'pyarrow', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
