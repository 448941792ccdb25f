"""The folder ``rejected`` beside the journals: what the store refused for good, and what could not be read. Nothing is thrown away."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelbox.client.buffer import Record
from modelbox.client.segments import MAGIC, RecordEncoder

if TYPE_CHECKING:
    from modelbox.client.journal import Batch
    from modelbox.client.segment_file import SegmentFile
    from modelbox.entities.series import SeriesBlock

__all__ = ["REJECTED", "keep_rejected", "keep_unreadable"]

REJECTED = "rejected"


def keep_rejected(journal: Path, batch: Batch, reason: str) -> None:
    """Keep a batch of the journal in the folder `journal`, and why it was refused.

    Raises
    ------
    OSError
        It cannot be written.
    """
    name = _folder_beside(journal) / f"{batch.client}-{batch.number}"
    name.with_suffix(".txt").write_text(f"{reason}\n", encoding="utf-8")
    if batch.operation is None:
        _write_segment(name.with_suffix(".log"), batch.blocks)
        return
    name.with_suffix(".json").write_bytes(msgspec.json.encode(batch.operation))
    file = Path(batch.operation.file)
    if journal in file.parents and file.is_file():
        shutil.move(file, name.with_suffix(".file"))


def keep_unreadable(journal: Path, segment: SegmentFile, begin: int) -> None:
    """Keep the bytes of a segment from `begin` on, which cannot be read.

    Raises
    ------
    OSError
        They cannot be written.
    """
    data = os.pread(segment.fd, os.fstat(segment.fd).st_size - begin, begin)
    (_folder_beside(journal) / f"{journal.name}-{segment.path.stem}-from-byte-{begin}.bin").write_bytes(data)


def _folder_beside(journal: Path) -> Path:
    folder = journal.parent / REJECTED
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _write_segment(path: Path, blocks: list[SeriesBlock]) -> None:
    encoder = RecordEncoder()
    with path.open("wb") as file:
        file.write(MAGIC)
        for block in blocks:
            steps, walls = (memoryview(column).cast("B").cast("q").tolist() for column in (block.steps, block.wall_times_us))
            # The kind of the block decides what its values are, which its type cannot say.
            values = block.values if isinstance(block.values, list) else memoryview(block.values).cast("B").cast("d").tolist()  # type: ignore[arg-type]
            for step, wall_time_us, value in zip(steps, walls, values, strict=True):
                frame, explained = encoder.encode(Record(block.object_id, step, wall_time_us, {block.key: value}))
                file.write(frame)
                if explained is not None:
                    encoder.confirm(explained)
