"""TensorBoard's event files.

    OUTPUT/tensorboard/            one point an epoch
    OUTPUT/tensorboard/batches/    one point every 20 batches, over the steps of the run

Two folders, because TensorBoard drops what was written after the place where a run goes on by the number of the step,
and epochs and steps count differently.
"""

from collections.abc import Sequence
from pathlib import Path

from tensorboardX import SummaryWriter

from imclass.training.trackers.tracker import Ending, Metrics, TrackedRun

FOLDER = "tensorboard"


class TensorBoardTracker:
    """Writes event files. What was read with the epoch is on disk when `epoch` returns."""

    def __init__(self) -> None:
        self._epochs: SummaryWriter | None = None
        self._batches: SummaryWriter | None = None
        self._folder = Path()
        self._steps = 0

    def start(self, run: TrackedRun) -> None:
        self._folder = run.output / FOLDER
        self._steps = run.steps
        self._epochs = SummaryWriter(str(self._folder), purge_step=len(run.epochs) or None)

    def batches(self, points: Sequence[tuple[int, Metrics]]) -> None:
        if self._batches is None:
            self._batches = SummaryWriter(str(self._folder / "batches"), purge_step=self._steps or None)
        for step, metrics in points:
            _write(self._batches, metrics, step)

    def epoch(self, epoch: int, metrics: Metrics) -> None:
        assert self._epochs is not None
        _write(self._epochs, metrics, epoch)
        self._epochs.flush()

    def end(self, ending: Ending) -> None:
        for writer in (self._epochs, self._batches):
            if writer is not None:
                writer.close()


def _write(writer: SummaryWriter, metrics: Metrics, step: int) -> None:
    for name, value in metrics.items():
        writer.add_scalar(name, value, global_step=step)
