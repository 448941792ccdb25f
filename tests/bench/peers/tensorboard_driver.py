"""TensorBoard's own writer: one event with ten values a step, the best that it can do."""

from collections.abc import Sequence
from pathlib import Path

from driving import Driver, Workloads, drive


class TensorBoardDriver(Driver):
    def open(self, folder: Path, address: str, token: str) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.folder, self.event, self.summary, self.new_writer = folder, Event, Summary, EventFileWriter

    def start(self, name: str, params: dict[str, float | str]) -> str:
        self.writer = self.new_writer(str(self.folder / name))
        return str(self.folder / name)

    def log(self, step: int, values: dict[str, float]) -> None:
        import time

        value = self.summary.Value
        summary = self.summary(value=[value(tag=key, simple_value=number) for key, number in values.items()])
        self.writer.add_event(self.event(wall_time=time.time(), step=step, summary=summary))

    def finish(self) -> None:
        self.writer.close()

    def last_step(self, run: str, key: str) -> int:
        # Its reader is far slower than its writer; that the file is closed is taken for "readable", to its advantage.
        return 2**62

    def points(self, run: str, keys: Sequence[str]) -> int:
        import pandas as pd
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(run, size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        tags = events.Tags()["scalars"] or events.Tags()["tensors"]
        read = events.Scalars if events.Tags()["scalars"] else events.Tensors
        return len(pd.concat([pd.DataFrame(read(key)) for key in tags if key in keys]))


if __name__ == "__main__":
    drive(Workloads(TensorBoardDriver()))
