"""What is shown of a file, whatever its name says it is."""

import json

import pytest

from modelbox_widgets.previews import MAX_IMAGE_BYTES, MAX_TEXT_BYTES, picture_type, preview_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0JFIF", "image/jpeg"),
        (b"GIF89a....", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (SVG, None),
        (b"<!doctype html>", None),
        (b"BM....", None),
        (b"RIFF\x10\0\0\0WAVE", None),
        (b"", None),
    ],
)
def test_pictures_are_told_by_their_bytes(head: bytes, media_type: str | None) -> None:
    assert picture_type(head) == media_type


@pytest.mark.parametrize("name", ["evil.svg", "evil.png", "evil.html", "evil"])
def test_markup_is_text_whatever_it_is_called(name: str) -> None:
    for data in (SVG, b"<script>alert(1)</script>"):
        preview = preview_of(name, data, size_bytes=len(data))
        assert (preview.kind, preview.text) == ("text", data.decode())


def test_a_picture_that_is_called_text_is_a_picture_and_a_huge_one_is_none() -> None:
    assert preview_of("notes.txt", PNG, size_bytes=len(PNG)).media_type == "image/png"
    assert preview_of("a.png", PNG, size_bytes=MAX_IMAGE_BYTES + 1).kind == "none"


def test_long_text_is_cut_between_characters() -> None:
    data = ("é" * MAX_TEXT_BYTES).encode()
    preview = preview_of("log.txt", b"x" + data[: MAX_TEXT_BYTES - 1], size_bytes=len(data))
    assert preview.kind == "text"
    assert set(preview.text) == {"x", "é"}
    assert f"of {len(data)} bytes" in preview.note


def test_bytes_that_are_no_text_have_no_preview() -> None:
    for data in (b"\0\1\2", b"\xff\xfe\xfd" * 10, b"PAR1" + bytes(50)):
        assert preview_of("model.bin", data, size_bytes=len(data)).kind == "none"


def test_tables_are_read_within_bounds() -> None:
    preview = preview_of("a.csv", b'name,score\n"a, b",=1+1\n<b>,2\n', size_bytes=30)
    assert preview.rows == [["name", "score"], ["a, b", "=1+1"], ["<b>", "2"]]
    assert preview_of("a.tsv", b"a\tb\n1\t2\n", size_bytes=8).rows == [["a", "b"], ["1", "2"]]
    long = "\n".join(["h" * 900, *(str(i) for i in range(1000))]).encode()
    shown = preview_of("long.csv", long, size_bytes=len(long))
    assert len(shown.rows) == 201
    assert len(shown.rows[0][0]) == 200
    assert shown.note == "The first 201 rows." or "first" in shown.note
    wide = (",".join("abc" for _ in range(500)) + "\n").encode() * 2
    assert len(preview_of("wide.csv", wide, size_bytes=len(wide)).rows[0]) == 50


def test_json_is_a_table_of_records_or_indented_text_and_bombs_are_text() -> None:
    records = json.dumps([{"a": 1, "b": None}, {"a": [2], "c": "<i>"}]).encode()
    assert preview_of("r.json", records, size_bytes=len(records)).rows == [["a", "b", "c"], ["1", "", ""], ["[2]", "", "<i>"]]
    assert preview_of("d.json", b'{"a":1}', size_bytes=7).text == '{\n  "a": 1\n}'
    deep = b"[" * 100_000
    assert preview_of("deep.json", deep, size_bytes=len(deep)).kind == "text"
    assert preview_of("bad.json", b"{nope", size_bytes=5).text == "{nope"


def test_an_empty_file_is_empty_text() -> None:
    preview = preview_of("empty.csv", b"", size_bytes=0)
    assert (preview.kind, preview.text) == ("text", "")
