"""ModelBox, for the benchmarks: a local store in process, or a server over HTTP."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from driving import Driver, Workloads, drive

if TYPE_CHECKING:
    from modelbox import Artifact, Experiment, ModelBox


QUERY = 'params.p1 < 0.5 and metrics."metric 0" > 0.9'


class ModelBoxDriver(Driver):
    box: "ModelBox"
    run: "Experiment"
    artifact: "Artifact"

    def open(self, folder: Path, address: str, token: str) -> None:
        import modelbox

        # Without its samplers, like all others here.
        self.box = modelbox.ModelBox(address or folder, token=token or None, system_metrics=False, provenance=False)

    @property
    def kept(self) -> str:  # type: ignore[override]
        # The journal is opened by the first log().
        return "in memory" if self.box.session.sender.kept == "in memory" else "on disk"

    def start(self, name: str, params: dict[str, float | str]) -> str:
        self.run = self.box.start(name, params=params)
        return self.run.record.id  # `run.id` waits until the store knows the run, which nobody who logs has to

    def settle(self) -> None:
        self.box.flush()  # start() returns before the store is opened, where the others have opened theirs

    def log(self, step: int, values: dict[str, float]) -> None:
        self.run.log(values, step=step)

    def finish(self) -> None:
        self.run.finish()
        self.box.flush()

    def close(self) -> None:
        self.box.close()

    def last_step(self, run: str, key: str) -> int:
        blocks = self.box.read_metrics([run], [key])
        return int(memoryview(blocks[0].steps).cast("B").cast("q")[-1]) if blocks and len(blocks[0]) else -1

    def points(self, run: str, keys: Sequence[str]) -> int:
        import modelbox

        return len(modelbox.metrics(run, keys, connection=self.box))

    def histories(self, runs: Sequence[str], keys: Sequence[str]) -> int:
        import modelbox

        return len(modelbox.metrics(runs, keys, connection=self.box))

    def table(self) -> tuple[int, int]:
        import modelbox

        height, width = modelbox.experiments(connection=self.box).shape
        return height, width

    def search(self) -> int:
        from modelbox.wire.messages import ExperimentsQuery
        from modelbox.wire.routes import LIST_EXPERIMENTS

        query = ExperimentsQuery(limit=1000, q=QUERY)
        return len(self.box.session.call(LIST_EXPERIMENTS, query=query).items)

    def upload(self, path: Path) -> None:
        self.artifact = self.run.upload_artifact(path)

    def download(self, folder: Path) -> Path:
        return self.artifact.download(folder)


if __name__ == "__main__":
    drive(Workloads(ModelBoxDriver()))
