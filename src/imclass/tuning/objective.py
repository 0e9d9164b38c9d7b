"""What a search makes as large, or as small, as it can."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Direction = Literal["Maximize", "Minimize"]


@dataclass(frozen=True)
class Objective:
    """A metric, and which way is better.

    Attributes:
        metric: in SageMaker's words, such as validation:accuracy.
    """

    metric: str = "validation:accuracy"
    direction: Direction = "Maximize"

    @property
    def sign(self) -> int:
        """What to multiply values with so that larger ones are better."""
        return 1 if self.direction == "Maximize" else -1

    @property
    def optuna_direction(self) -> Literal["maximize", "minimize"]:
        """In Optuna's words."""
        return "maximize" if self.direction == "Maximize" else "minimize"

    def score(self, value: float) -> float:
        """A value, turned so that larger is better; what is no number is the worst."""
        return -math.inf if math.isnan(value) else self.sign * value

    def is_better(self, value: float, other: float | None) -> bool:
        """Whether a value beats another, or the lack of one."""
        return other is None or self.score(value) > self.score(other)

    def best(self, values: Iterable[float]) -> float:
        """The best of some values, of which there is at least one."""
        return max(values, key=self.score)
