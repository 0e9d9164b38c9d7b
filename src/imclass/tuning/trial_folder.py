"""The folder of one trial: what the search and the process of the trial tell each other.

::

    FOLDER/order.json     from the search: what to train, on which cores
    FOLDER/log.txt        from the trial: all that it prints
    FOLDER/metrics.jsonl  from the trial: one line an epoch
    FOLDER/model.tar.gz   from the trial: its best epoch's weights, once it has ended
    FOLDER/failure.txt    from the trial: why it failed
    FOLDER/checkpoints    from the trial: what it goes on from; removed when it has ended
"""

import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imclass.pending_file import PendingFile

METRICS = {
    "validation:accuracy": "validation_accuracy",
    "validation:loss": "validation_loss",
    "validation:mean_average_precision": "validation_mean_average_precision",
    "train:accuracy": "train_accuracy",
    "train:loss": "train_loss",
}
"""What can be searched for, and its name in metrics.jsonl."""

LONGEST_REASON = 2000  # characters of a failure that are kept


@dataclass(frozen=True)
class Order:
    """What a trial has to do.

    Attributes:
        options: of `imclass.training.train`, in JSON's types.
        cores: that the process may use.
    """

    options: dict[str, Any]
    cores: tuple[int, ...]


class TrialFolder:
    """One trial on disk.

    Args:
        path: of the folder.
        metric: a key of `METRICS`.
    """

    def __init__(self, path: Path, metric: str) -> None:
        self.path = path
        self._column = METRICS[metric]

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def model(self) -> Path:
        return self.path / "model.tar.gz"

    def write_order(self, order: Order) -> None:
        """Make the folder, if it is not there, and say what to do."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "failure.txt").unlink(missing_ok=True)
        with PendingFile(self.path / "order.json") as file:
            file.write(json.dumps(asdict(order), indent=1).encode())

    def read_order(self) -> Order:
        values = json.loads((self.path / "order.json").read_bytes())
        return Order(values["options"], tuple(values["cores"]))

    def write_failure(self, reason: str) -> None:
        with PendingFile(self.path / "failure.txt") as file:
            file.write(reason[:LONGEST_REASON].encode())

    @property
    def failure(self) -> str | None:
        """Why the trial failed, if it has said so."""
        path = self.path / "failure.txt"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else None

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl that are complete."""
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def curve(self) -> tuple[float, ...]:
        """The objective after each epoch; NaN where it is not a number."""
        return tuple(self._objective(epoch) for epoch in self.epochs)

    @property
    def value(self) -> float | None:
        """The objective of the model in the folder: that of the epoch whose weights it holds.

        None if there is no epoch, or it is not a finite number.
        """
        accuracies = [epoch["validation_accuracy"] for epoch in self.epochs]
        if not accuracies:
            return None
        value = self._objective(self.epochs[accuracies.index(max(accuracies))])
        return value if math.isfinite(value) else None

    def _objective(self, epoch: dict[str, Any]) -> float:
        value = epoch.get(self._column)
        return math.nan if value is None else float(value)

    def remove_checkpoints(self) -> None:
        """Make room: a trial that has ended never goes on."""
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
