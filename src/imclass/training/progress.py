"""How far a run has come: what a checkpoint keeps beside the tensors."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Best:
    """The epoch whose weights are kept: the first with the highest validation accuracy.

    Attributes:
        epoch: its number from 0, -1 before the first.
        accuracy: its validation accuracy.
        file: name of the weights file in the checkpoints folder.
    """

    epoch: int = -1
    accuracy: float = float("-inf")
    file: str = ""


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: epochs completed, so also the number of the one in progress, from 0.
        step: steps done of the epoch in progress; not 0 only after a SIGTERM.
        seconds: time those steps took.
        sums: the epoch's running sums over all processes so far (`RunningSums.sums`).
        best: the best epoch so far.
        stopping_best: best accuracy as early stopping counts it.
        epochs_without_improvement: as early stopping counts them.
        metrics: one dictionary an epoch, as in metrics.jsonl.
        finished: the run is over and its artifact written.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    sums: list[float] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    stopping_best: float = float("-inf")
    epochs_without_improvement: int = 0
    metrics: list[dict[str, float]] = field(default_factory=list)
    finished: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Progress":
        return cls(**{**values, "best": Best(**values["best"])})
