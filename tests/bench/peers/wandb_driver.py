"""Weights & Biases, offline."""

import os
from pathlib import Path

from driving import Driver, Workloads, drive


class WandbDriver(Driver):
    def open(self, folder: Path, address: str, token: str) -> None:
        os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(folder), "WANDB_DISABLE_CODE": "true"}
        import wandb

        self.wandb, self.folder = wandb, folder

    def start(self, name: str, params: dict[str, float | str]) -> str:
        settings = self.wandb.Settings(x_disable_stats=True, x_disable_meta=True, console="off", disable_git=True)
        self.run = self.wandb.init(project="bench", name=name, mode="offline", dir=str(self.folder), settings=settings)
        return str(self.run.id)

    def log(self, step: int, values: dict[str, float]) -> None:
        self.run.log(values, step=step)

    def finish(self) -> None:
        self.run.finish()


if __name__ == "__main__":
    drive(Workloads(WandbDriver()))
