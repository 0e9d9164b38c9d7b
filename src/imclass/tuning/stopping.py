"""Which running trial is not worth its time, as pure functions of what all trials have reached so far.

`median_rule` is SageMaker's early stopping. `successive_halving` is what Hyperband does, in the asynchronous form that
waits for nobody (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", arXiv:1810.05934).
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from statistics import fmean, median

from imclass.tuning.objective import Objective
from imclass.tuning.search import HyperbandEpochs, Search
from imclass.tuning.trials import Trial

REDUCTION = 3
"""Of the trials that reach a rung of Hyperband, one in so many goes on."""


def should_stop(search: Search, trial: Trial, trials: Sequence[Trial], judged: int = 0) -> bool:
    """Whether a running trial should be stopped now.

    Args:
        trials: all of the search; the trial itself may be among them.
        judged: epochs of the trial after which this was asked before.
    """
    if len(trial.curve) <= judged:
        return False
    others = [other for other in trials if other.number != trial.number]
    if search.strategy == "Hyperband":
        assert search.hyperband is not None
        return successive_halving(search.objective, search.hyperband, trial, others, judged)
    return search.early_stopping == "Auto" and median_rule(search.objective, trial, others)


def median_rule(objective: Objective, trial: Trial, others: Sequence[Trial]) -> bool:
    """Whether the latest value of a trial is worse than the median of the averages of those before it.

    For each trial that has ended with a value, the average of its values up to the same epoch is taken. This is the
    rule in "Stop Training Jobs Early" of the Amazon SageMaker developer guide.
    """
    epochs = len(trial.curve)
    averages = [
        fmean(other.curve[:epochs])
        for other in others
        if other.has_ended and other.value is not None and len(other.curve) >= epochs
    ]
    if not averages:
        return False
    # An average of a curve with NaN in it is NaN, which has no place in an order: its score is the lowest.
    return objective.score(trial.curve[-1]) < median(objective.score(average) for average in averages)


def successive_halving(
    objective: Objective, epochs: HyperbandEpochs, trial: Trial, others: Sequence[Trial], judged: int = 0
) -> bool:
    """Whether a trial that has come to a rung is not among the best third of those of its bracket that have been there.

    A trial that has run all epochs is complete: it is stopped if it would go on.
    """
    if len(trial.curve) >= epochs.most:
        return epochs.cuts
    bracket = bracket_of(trial.number, epochs)
    rivals = [other for other in others if bracket_of(other.number, epochs) == bracket]
    for rung in rungs(bracket, epochs):
        if not judged < rung <= len(trial.curve):
            continue
        own = objective.score(trial.curve[rung - 1])
        ahead = sum(objective.score(other.curve[rung - 1]) > own for other in rivals if len(other.curve) >= rung)
        arrived = 1 + sum(len(other.curve) >= rung for other in rivals)
        if ahead >= max(1, arrived // REDUCTION):
            return True
    return False


def rungs(bracket: int, epochs: HyperbandEpochs) -> Iterator[int]:
    """The epochs after which the trials of a bracket are compared, in order."""
    rung = epochs.least * REDUCTION**bracket
    while rung < epochs.most:
        yield rung
        rung *= REDUCTION


def brackets(epochs: HyperbandEpochs) -> int:
    """How many brackets there are: the first has all rungs, the last has none."""
    return 1 + len(list(rungs(0, epochs)))


@cache
def bracket_of(number: int, epochs: HyperbandEpochs) -> int:
    """The bracket of a trial.

    Hyperband fixes how many trials each bracket gets: the more rungs, the more. Trials are dealt out one by one in
    these proportions, by D'Hondt's method.
    """
    count = brackets(epochs)
    shares = [math.ceil(count / (count - bracket) * REDUCTION ** (count - 1 - bracket)) for bracket in range(count)]
    dealt = [bracket_of(before, epochs) for before in range(number)]
    return min(range(count), key=lambda bracket: (dealt.count(bracket) + 1) / shares[bracket])
