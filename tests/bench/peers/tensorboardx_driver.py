"""tensorboardX: its SummaryWriter, one scalar at a time."""

from pathlib import Path

from driving import Driver, Workloads, drive


class TensorBoardXDriver(Driver):
    def open(self, folder: Path, address: str, token: str) -> None:
        from tensorboardX import SummaryWriter

        self.folder, self.new_writer = folder, SummaryWriter

    def start(self, name: str, params: dict[str, float | str]) -> str:
        self.writer = self.new_writer(str(self.folder / name))
        return name

    def log(self, step: int, values: dict[str, float]) -> None:
        for key, value in values.items():
            self.writer.add_scalar(key, value, step)

    def finish(self) -> None:
        self.writer.close()

    def last_step(self, run: str, key: str) -> int:
        return 2**62  # as for TensorBoard: closed is taken for readable


if __name__ == "__main__":
    drive(Workloads(TensorBoardXDriver()))
