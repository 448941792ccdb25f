"""Aim: its local repository."""

from pathlib import Path

from driving import Driver, Workloads, drive


class AimDriver(Driver):
    kept = "on disk"

    def open(self, folder: Path, address: str, token: str) -> None:
        from aim import Repo, Run

        self.folder, self.new = folder, Run
        Repo.from_path(str(folder), init=True)

    def start(self, name: str, params: dict[str, float | str]) -> str:
        self.run = self.new(repo=str(self.folder), experiment=name, system_tracking_interval=None, log_system_params=False)
        return str(self.run.hash)

    def log(self, step: int, values: dict[str, float]) -> None:
        self.run.track(values, step=step)

    def finish(self) -> None:
        self.run.close()


if __name__ == "__main__":
    drive(Workloads(AimDriver()))
