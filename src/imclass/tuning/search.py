"""How ranges are searched."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from imclass.errors import HyperparameterError, listing
from imclass.tuning.objective import Objective
from imclass.tuning.ranges import CategoricalRange, Range

Strategy = Literal["Bayesian", "Random", "Grid", "Hyperband"]
STRATEGIES: tuple[Strategy, ...] = ("Bayesian", "Random", "Grid", "Hyperband")

EarlyStopping = Literal["Off", "Auto"]

LARGEST_SEED = 2**63 - 1
MOST_EPOCHS = 20_000


@dataclass(frozen=True)
class HyperbandEpochs:
    """The resources that Hyperband shares out.

    Attributes:
        least: epochs that every trial runs.
        most: epochs after which a trial is complete.
        cuts: trials would go on beyond that, and have to be stopped there.
    """

    least: int
    most: int
    cuts: bool = False


@dataclass(frozen=True)
class Search:
    """What is searched and how.

    Attributes:
        trials: how many there are in all.
        parallel: how many of them run at once.
        seed: of every draw; the draws for a trial depend on it, on the trial's number and on the trials before.
        early_stopping: Auto stops trials that do worse than most, by the median rule.
        hyperband: for the strategy Hyperband only.
    """

    ranges: tuple[Range, ...]
    trials: int
    parallel: int = 1
    objective: Objective = field(default_factory=Objective)
    strategy: Strategy = "Bayesian"
    seed: int = 0
    early_stopping: EarlyStopping = "Off"
    hyperband: HyperbandEpochs | None = None

    def check(self) -> None:
        """Check that the parts fit together.

        Raises:
            HyperparameterError: they do not; everything is told.
        """
        problems = list(self._problems())
        if problems:
            raise HyperparameterError(f"this search cannot be done:\n{listing(problems)}")

    def _problems(self) -> Iterator[str]:
        if self.strategy == "Grid":
            yield from self._grid_problems()
        if self.strategy == "Hyperband":
            yield from self._hyperband_problems()
        elif self.hyperband is not None:
            yield "resources are for the strategy Hyperband"

    def _grid_problems(self) -> Iterator[str]:
        others = [one.name for one in self.ranges if not isinstance(one, CategoricalRange)]
        if others:
            yield f"the strategy Grid takes categorical ranges only; {', '.join(others)} have others"
        elif self.trials != (size := grid_size(self.ranges)):
            yield f"the grid has {size} points, and so must be the number of trials, not {self.trials}"

    def _hyperband_problems(self) -> Iterator[str]:
        if self.early_stopping == "Auto":
            yield "the strategy Hyperband stops trials by itself: early stopping must be Off"
        if self.hyperband is None:
            yield "the strategy Hyperband needs the number of epochs of a complete trial"
        elif not 1 <= self.hyperband.least <= self.hyperband.most <= MOST_EPOCHS:
            yield (
                f"the strategy Hyperband cannot share out {self.hyperband.least} to {self.hyperband.most} epochs; "
                f"the most are {MOST_EPOCHS}"
            )


def grid_size(ranges: tuple[Range, ...]) -> int:
    """Number of combinations of categorical ranges."""
    return math.prod(len(one.values) for one in ranges if isinstance(one, CategoricalRange))
