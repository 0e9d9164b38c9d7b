"""One set of values, and how well it did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from imclass.tuning.objective import Objective

TrialStatus = Literal["Running", "Completed", "Stopped", "Failed"]

GIVE_UP_AFTER = 5
"""So many failed trials without a single good one end a search, as they do in SageMaker."""


@dataclass(frozen=True)
class Trial:
    """One training run of a search.

    Attributes:
        number: from 0, in the order in which the trials were proposed.
        values: of the hyperparameters that are searched, as text.
        curve: the objective after each epoch so far; what is not a number is NaN.
        value: the objective of the whole trial; None while it runs and when it failed.
    """

    number: int
    values: Mapping[str, str]
    status: TrialStatus = "Running"
    curve: tuple[float, ...] = field(default=())
    value: float | None = None

    @property
    def has_ended(self) -> bool:
        return self.status != "Running"


def best_trial(trials: Sequence[Trial], objective: Objective) -> Trial | None:
    """The trial with the best value, the earliest of equals; None as long as none has a value."""
    best: Trial | None = None
    for trial in sorted(trials, key=lambda trial: trial.number):
        if trial.value is not None and objective.is_better(trial.value, None if best is None else best.value):
            best = trial
    return best


def is_hopeless(trials: Sequence[Trial]) -> bool:
    """Whether trials fail for a reason that the next one will not escape either."""
    failed = sum(trial.status == "Failed" for trial in trials)
    return failed >= GIVE_UP_AFTER and all(trial.value is None for trial in trials)
