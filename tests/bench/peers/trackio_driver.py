"""Trackio: its local store, or its server."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from driving import Driver, Workloads, drive

PROJECT = "bench"


class TrackioDriver(Driver):
    def open(self, folder: Path, address: str, token: str) -> None:
        os.environ["TRACKIO_DIR"] = str(folder)
        import trackio

        self.trackio, self.url = trackio, f"{address}?write_token={token}" if address else None
        self.address, self.token = address, token

    def start(self, name: str, params: dict[str, float | str]) -> str:
        # Without its samplers of the machine: no other tracker here has any on.
        self.run = self.trackio.init(
            PROJECT, name=name, server_url=self.url, config=params, embed=False, auto_log_gpu=False, auto_log_cpu=False
        )
        return name

    def log(self, step: int, values: dict[str, float]) -> None:
        self.trackio.log(values, step=step)

    def finish(self) -> None:
        self.trackio.finish()

    def last_step(self, run: str, key: str) -> int:
        if self.url:
            rows = self._server().predict(PROJECT, run, api_name="/get_run_summary")
            return -1 if rows["last_step"] is None else int(rows["last_step"])
        from trackio.sqlite_storage import SQLiteStorage

        step = SQLiteStorage.get_last_step(PROJECT, run)
        return -1 if step is None else step

    def points(self, run: str, keys: Sequence[str]) -> int:
        import pandas as pd

        if len(keys) == 1:
            values = pd.DataFrame(self._values(run, keys[0]))
            return len(values)
        if self.url:
            logs = self._server().predict(PROJECT, [{"run": run}], api_name="/get_logs_batch", max_points=None)[0]["logs"]
        else:
            from trackio.sqlite_storage import SQLiteStorage

            logs = SQLiteStorage.get_logs(PROJECT, run)
        return int(pd.DataFrame(logs)[list(keys)].count().sum())

    def _values(self, run: str, key: str) -> list[dict[str, object]]:
        if self.url:
            values: list[dict[str, object]] = self._server().predict(PROJECT, run, key, api_name="/get_metric_values")
            return values
        from trackio.sqlite_storage import SQLiteStorage

        return SQLiteStorage.get_metric_values(PROJECT, run, key)

    def table(self) -> tuple[int, int]:
        import pandas as pd

        height, width = pd.DataFrame(self._rows()).shape
        return height, width

    def search(self) -> int:
        return sum(row["p1"] < 0.5 and row["metric 0"] > 0.9 for row in self._rows())

    def _rows(self) -> list[dict[str, float]]:
        """All runs of the project: its configs, and the logs of all runs in one query as its own SQL interface gives them."""
        import json

        from trackio.sqlite_storage import SQLiteStorage

        configs = SQLiteStorage.get_all_run_configs(PROJECT)
        logs = SQLiteStorage.query_project(PROJECT, "SELECT run_id, metrics FROM metrics ORDER BY step", max_rows=1_000_000)["rows"]
        return [configs[row["run_id"]] | json.loads(row["metrics"]) for row in logs]

    def upload(self, path: Path) -> None:
        self.run.log_artifact(path, name="file", type="model").wait()

    def forget(self) -> None:
        if self.address:
            from trackio.utils import ARTIFACTS_DIR

            # Downloads are copied from here, at two gigabytes a second, when this client has uploaded the file.
            shutil.rmtree(ARTIFACTS_DIR)

    def download(self, folder: Path) -> Path:
        root = Path(self.run.use_artifact("file:latest").download(folder))
        return next(path for path in root.rglob("*") if path.is_file())

    def _server(self):
        if not hasattr(self, "client"):
            from trackio.remote_client import RemoteClient

            self.client = RemoteClient(self.address, write_token=self.token)
        return self.client


if __name__ == "__main__":
    drive(Workloads(TrackioDriver()))
