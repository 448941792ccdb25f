"""Sacred with its file observer; points wait in memory for a heartbeat every ten seconds."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

from driving import Driver, Workloads, drive


class SacredDriver(Driver):
    def open(self, folder: Path, address: str, token: str) -> None:
        import logging

        from sacred import Experiment
        from sacred.observers import FileStorageObserver

        logging.getLogger("bench").setLevel(logging.ERROR)
        self.folder, self.observer = folder, FileStorageObserver(folder)
        self.new = lambda: Experiment("bench", save_git_info=False)

    def start(self, name: str, params: dict[str, float | str]) -> str:
        experiment = self.new()
        experiment.observers.append(self.observer)
        experiment.main(lambda: None)
        if params:
            experiment.add_config(params)
        self.run = experiment._create_run()
        # What calling a run does before and after its main function; there is no output to capture.
        self.run._output_file = io.StringIO()
        self.run._output_file.close()
        self.run.observers = sorted(self.run.observers, key=lambda observer: -observer.priority)
        self.run._emit_started()
        self.run._start_heartbeat()
        return str(self.folder / str(self.run._id))

    def log(self, step: int, values: dict[str, float]) -> None:
        for key, value in values.items():
            self.run.log_scalar(key, value, step)

    def finish(self) -> None:
        self.run._stop_time()
        self.run._stop_heartbeat()
        self.run._heartbeat.join()
        self.run._emit_completed(None)
        self.run._wait_for_observers()

    def last_step(self, run: str, key: str) -> int:
        path = Path(run) / "metrics.json"
        return json.loads(path.read_bytes())[key]["steps"][-1] if path.exists() else -1

    def points(self, run: str, keys: Sequence[str]) -> int:
        import pandas as pd

        series = json.loads((Path(run) / "metrics.json").read_bytes())
        return len(pd.concat([pd.DataFrame(series[key]).assign(key=key) for key in keys]))

    def table(self) -> tuple[int, int]:
        import pandas as pd

        height, width = pd.DataFrame([self._row(path) for path in self.folder.iterdir() if path.name.isdecimal()]).shape
        return height, width

    def search(self) -> int:
        rows = [self._row(path) for path in self.folder.iterdir() if path.name.isdecimal()]
        return sum(row["p1"] < 0.5 and row["metric 0"] > 0.9 for row in rows)

    def _row(self, path: Path) -> dict[str, float]:
        metrics = json.loads((path / "metrics.json").read_bytes())
        return json.loads((path / "config.json").read_bytes()) | {key: series["values"][-1] for key, series in metrics.items()}


if __name__ == "__main__":
    drive(Workloads(SacredDriver()))
