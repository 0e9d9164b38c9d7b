"""What a tracker is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Metrics = Mapping[str, float]
"""Values by name: `train/loss`, `validation/accuracy`, `learning_rate`; of batches `batch/loss`."""

Status = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told when a run begins, or goes on.

    Attributes:
        output: the folder of the run.
        name: for people.
        group: of runs that belong together, such as the trials of a search.
        hyperparameters: all of them, as text.
        facts: what else can be told: data, number of images, device, version.
        epochs: metrics of the epochs that are done already, where a run goes on.
        steps: that are done already.
        reference: what `start` returned when the run began; None for a new run.
    """

    output: Path
    name: str
    group: str | None
    hyperparameters: Mapping[str, str]
    facts: Mapping[str, str]
    epochs: Sequence[Metrics]
    steps: int
    reference: str | None


@dataclass(frozen=True)
class Ending:
    """How a run came to its end.

    Attributes:
        best: metrics of the epoch whose weights the model holds; empty if no epoch was completed.
        files: to be kept beside the metrics: the report, metrics.jsonl, the model if that was asked for.
    """

    status: Status
    best: Metrics
    files: Sequence[Path]


class Tracker(Protocol):
    """Records a run somewhere.

    `start` is called once, before the first step, and ends the run with a `UserError` if it raises one. The others
    are called one after the other on a thread of the tracker's own; what they raise is logged and counted, and the run
    goes on. None of them may wait without a deadline.
    """

    def start(self, run: TrackedRun) -> str | None:
        """Begin to record, or go on where `run.reference` says.

        Returns:
            What finds the record again when the run is resumed; None if nothing is needed.

        Raises:
            UserError: it cannot be recorded.
        """

    def batches(self, points: Sequence[tuple[int, Metrics]]) -> None:
        """Means since the epoch began, each with the number of steps since the run began, the oldest first."""

    def epoch(self, epoch: int, metrics: Metrics) -> None:
        """An epoch's line of metrics.jsonl, with its number from 0; offered again later if this raises."""

    def end(self, ending: Ending) -> None:
        """The last call: keep the files, let all go."""
