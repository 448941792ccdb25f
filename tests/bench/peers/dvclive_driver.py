"""DVCLive without a git repository: one file of tab-separated values per metric."""

from pathlib import Path

from driving import Driver, Workloads, drive


class DvcliveDriver(Driver):
    kept = "on disk"

    def open(self, folder: Path, address: str, token: str) -> None:
        from dvclive import Live

        self.folder, self.new = folder, Live

    def start(self, name: str, params: dict[str, float | str]) -> str:
        self.live = self.new(str(self.folder / name), report=None, save_dvc_exp=False, dvcyaml=None)
        return str(self.folder / name)

    def log(self, step: int, values: dict[str, float]) -> None:
        self.live.step = step
        for key, value in values.items():
            self.live.log_metric(key, value)

    def finish(self) -> None:
        self.live.end()

    def last_step(self, run: str, key: str) -> int:
        path = Path(run) / "plots" / "metrics" / f"{key}.tsv"
        return int(path.read_text().splitlines()[-1].split("\t")[0]) if path.exists() else -1


if __name__ == "__main__":
    drive(Workloads(DvcliveDriver()))
