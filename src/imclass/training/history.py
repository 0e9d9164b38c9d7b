"""What a run leaves for people and programs to read while it goes: log lines, metrics.jsonl, trackers.

The log lines are the original's, so that metric expressions written for it still match:

    Epoch[0] Batch [20]<TAB>Speed: 189.789 samples/sec<TAB>accuracy=0.983631
    Epoch[0] Train-accuracy=0.150391
    Epoch[0] Time cost=8.095
    Epoch[0] Validation-accuracy=0.253906
"""

import json
import logging
import math
import time
from pathlib import Path

from imclass.hyperparameters import Hyperparameters
from imclass.pending_file import PendingFile
from imclass.training.console import Console
from imclass.training.loop import EpochState
from imclass.training.metrics import Totals
from imclass.training.progress import Progress
from imclass.training.trackers.tracking import Tracking

# The original's lines have a logger of their own, so that a terminal can show a bar in their place.
original = logging.getLogger("imclass.original")


class History:
    """Writes as the run goes. Every process may have one; only the first process of all writes files."""

    def __init__(
        self,
        output: Path,
        settings: Hyperparameters,
        console: Console,
        tracking: Tracking,
        *,
        writes_files: bool,
        speaks: bool,
        batch_size: int,
        steps_per_epoch: int,
    ) -> None:
        self.path = output / "metrics.jsonl"
        self.settings = settings
        self.console = console
        self.tracking = tracking
        self.writes_files = writes_files
        self.speaks = speaks
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self._last_batch = (0, 0.0)
        self._began = time.perf_counter()

    def start(self, progress: Progress) -> None:
        """Begin, or go on where `progress` stands: what an interrupted epoch wrote later than that is dropped."""
        if self.writes_files:
            lines = "".join(_line(metrics) for metrics in progress.metrics)
            with PendingFile(self.path) as file:
                file.write(lines.encode())
        self._last_batch = (progress.step, progress.seconds)

    def step(self, state: EpochState) -> None:
        """After every step."""
        if self.speaks:
            self.console.step(state.epoch, state.step, self.steps_per_epoch, self.settings.epochs)

    def batch(self, state: EpochState, totals: Totals) -> None:
        """Every 20 batches: speed since the last call, accuracy since the epoch began."""
        if not self.speaks:
            return
        step, seconds = self._last_batch if self._last_batch[0] < state.step else (0, 0.0)
        speed = (state.step - step) * self.batch_size / max(state.seconds - seconds, 1e-9)
        self._last_batch = (state.step, state.seconds)
        fields = [f"Epoch[{state.epoch}] Batch [{state.step - 1}]", f"Speed: {speed:.3f} samples/sec"]
        fields.append(f"accuracy={totals.accuracy:f}")
        if self.settings.top_k and not self.settings.multi_label:
            fields.append(f"top_k_accuracy_{self.settings.top_k}={totals.top_k_accuracy:f}")
        original.info("\t".join(fields))
        self.console.batch(speed, totals.mean_loss, totals.accuracy)
        figures = {"loss": totals.mean_loss, "accuracy": totals.accuracy, "images_per_second": speed}
        self.tracking.batch(state.epoch * self.steps_per_epoch + state.step, figures)

    def trained(self, epoch: int, metrics: dict[str, float]) -> None:
        """After the training half of an epoch."""
        if not self.speaks:
            return
        original.info("Epoch[%d] Train-accuracy=%f", epoch, metrics["train_accuracy"])
        if "train_top_k_accuracy" in metrics:
            name = f"Train-top_k_accuracy_{self.settings.top_k}"
            original.info("Epoch[%d] %s=%f", epoch, name, metrics["train_top_k_accuracy"])
        original.info("Epoch[%d] Time cost=%.3f", epoch, metrics["train_seconds"])

    def epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        """After an epoch's validation: one line of metrics.jsonl, and a point on every curve of the trackers.

        Adds `seconds`, the time since the last epoch ended or the run began.
        """
        now = time.perf_counter()
        metrics["seconds"] = now - self._began
        self._began = now
        if self.speaks:
            original.info("Epoch[%d] Validation-accuracy=%f", epoch, metrics["validation_accuracy"])
            if "validation_mean_average_precision" in metrics:
                value = metrics["validation_mean_average_precision"]
                original.info("Epoch[%d] Validation-mean_average_precision=%f", epoch, value)
            self.console.epoch(epoch, self.settings.epochs, metrics)
        if self.writes_files:
            with self.path.open("a") as file:
                file.write(_line(metrics))
        self.tracking.epoch(epoch, metrics)


def _line(metrics: dict[str, float]) -> str:
    """A line of metrics.jsonl. JSON has no word for a number that is not finite, so it becomes null."""
    return json.dumps({name: value if math.isfinite(value) else None for name, value in metrics.items()}) + "\n"
