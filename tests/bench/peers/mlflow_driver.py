"""MLflow: SQLite in process, or its server."""

from collections.abc import Sequence
from pathlib import Path

from driving import Driver, Workloads, drive


class MlflowDriver(Driver):
    kept = "on disk"

    def open(self, folder: Path, address: str, token: str) -> None:
        import logging

        import mlflow

        logging.getLogger("alembic").setLevel(logging.ERROR)
        self.mlflow = mlflow
        mlflow.set_tracking_uri(address or f"sqlite:///{folder}/mlflow.db")
        if not address:
            (folder / "artifacts").mkdir(exist_ok=True)
            if mlflow.get_experiment_by_name("bench") is None:
                mlflow.create_experiment("bench", artifact_location=(folder / "artifacts").as_uri())
        mlflow.set_experiment("bench")

    def start(self, name: str, params: dict[str, float | str]) -> str:
        self.run = self.mlflow.start_run(run_name=name)
        if params:
            self.mlflow.log_params(params)
        return str(self.run.info.run_id)

    def log(self, step: int, values: dict[str, float]) -> None:
        self.mlflow.log_metrics(values, step=step)

    def finish(self) -> None:
        self.mlflow.end_run()

    def last_step(self, run: str, key: str) -> int:
        history = self.mlflow.MlflowClient().get_metric_history(run, key)
        return max((metric.step for metric in history), default=-1)

    def points(self, run: str, keys: Sequence[str]) -> int:
        import pandas as pd

        client = self.mlflow.MlflowClient()
        return len(pd.DataFrame([dict(metric) for key in keys for metric in client.get_metric_history(run, key)]))

    def table(self) -> tuple[int, int]:
        height, width = self.mlflow.search_runs(experiment_names=["bench"], max_results=50_000).shape
        return height, width

    def search(self) -> int:
        # Its parameters are text, which it cannot compare as numbers: the other half of the question stands for it.
        return len(self.mlflow.search_runs(experiment_names=["bench"], filter_string='metrics."metric 0" > 0.95'))

    def upload(self, path: Path) -> None:
        self.name = path.name
        self.mlflow.log_artifact(str(path))

    def download(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(self.mlflow.artifacts.download_artifacts(run_id=self.run.info.run_id, artifact_path=self.name, dst_path=str(folder)))


if __name__ == "__main__":
    drive(Workloads(MlflowDriver()))
