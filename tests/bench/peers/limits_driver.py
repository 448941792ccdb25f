"""What this machine can do at all: the physical limit of each row, in bare standard library, numpy and pandas."""

import hashlib
import json
import sqlite3
import struct
import time
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path

from driving import KEYS, Driver, Workloads, curves, drive

CHUNK_STEPS = 1000


class Limits(Driver):
    """Appends framed records to a file; keeps series as blobs of 1000 points in SQLite; keeps runs as JSON documents there."""

    kept = "on disk"

    def open(self, folder: Path, address: str, token: str) -> None:
        self.folder = folder
        self.database = sqlite3.connect(folder / "limits.db", isolation_level=None)
        self.database.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE IF NOT EXISTS chunks (key TEXT, steps BLOB, walls BLOB, vals BLOB);"
            "CREATE TABLE IF NOT EXISTS runs (p1 REAL, m0 REAL, document TEXT)"
        )

    def start(self, name: str, params: dict[str, float | str]) -> str:
        self.params = params
        self.file = (self.folder / "records.log").open("ab", buffering=0)
        return name

    def log(self, step: int, values: dict[str, float]) -> None:
        payload = struct.pack(f"<qq{len(values)}d", step, time.time_ns(), *values.values())
        self.file.write(struct.pack("<II", len(payload), zlib.crc32(payload)) + payload)
        self.last = values

    def finish(self) -> None:
        self.file.close()
        if self.params:
            document = json.dumps(self.params | self.last)
            self.database.execute("INSERT INTO runs VALUES (?, ?, ?)", (self.params["p1"], self.last["metric 0"], document))

    def write_chunks(self, steps: int) -> float:
        """Write ten series as chunks that are columns already, one transaction per 1000 steps, and return the seconds."""
        rows = curves(steps)
        width = len(KEYS)
        columns = [rows[key::width] for key in range(width)]
        begin_s = time.perf_counter()
        for start in range(0, steps, CHUNK_STEPS):
            part = slice(start, start + CHUNK_STEPS)
            numbers = array("q", range(start, min(steps, start + CHUNK_STEPS))).tobytes()
            self.database.execute("BEGIN IMMEDIATE")
            self.database.executemany(
                "INSERT INTO chunks VALUES (?, ?, ?, ?)",
                [(key, numbers, numbers, column[part].tobytes()) for key, column in zip(KEYS, columns, strict=True)],
            )
            self.database.execute("COMMIT")
        return time.perf_counter() - begin_s

    def points(self, run: str, keys: Sequence[str]) -> int:
        import numpy as np
        import pandas as pd

        frames = []
        for key in keys:
            rows = self.database.execute("SELECT steps, walls, vals FROM chunks WHERE key = ? ORDER BY rowid", (key,)).fetchall()
            steps, walls, values = (b"".join(column) for column in zip(*rows, strict=True))
            frames.append(
                pd.DataFrame(
                    {
                        "step": np.frombuffer(steps, np.int64),
                        "wall": np.frombuffer(walls, np.int64),
                        "value": np.frombuffer(values, np.float64),
                    }
                )
            )
        return len(pd.concat(frames)) if len(frames) > 1 else len(frames[0])

    def table(self) -> tuple[int, int]:
        import msgspec
        import pandas as pd

        rows = self.database.execute("SELECT document FROM runs").fetchall()
        height, width = pd.DataFrame(msgspec.json.decode("[" + ",".join(document for (document,) in rows) + "]")).shape
        return height, width

    def search(self) -> int:
        return len(self.database.execute("SELECT document FROM runs WHERE p1 < 0.5 AND m0 > 0.9").fetchall())

    def upload(self, path: Path) -> None:
        _hashed_copy(path, self.folder / "copy")

    def download(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return _hashed_copy(self.folder / "copy", folder / "copy")


def _hashed_copy(source: Path, target: Path) -> Path:
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(1 << 20):
            digest.update(chunk)
            writer.write(chunk)
    return target


class LimitWorkloads(Workloads):
    def __init__(self) -> None:
        self._limits = Limits()
        super().__init__(self._limits)

    def chunks(self, steps: int) -> dict[str, object]:
        """Write a million points as fast as SQLite takes blobs."""
        return {"points_per_s": steps * len(KEYS) / self._limits.write_chunks(steps)}


if __name__ == "__main__":
    drive(LimitWorkloads())
