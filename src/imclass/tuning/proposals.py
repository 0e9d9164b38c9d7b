"""The values of the next trial, as pure functions of the trials before.

A fresh sampler draws for each trial, with a seed that is made of the search's and the trial's number: a search that
goes on after a restart proposes what it would have proposed without one.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from imclass.tuning.ranges import CategoricalRange, IntegerRange, NumberRange, Range
from imclass.tuning.search import Search
from imclass.tuning.trials import Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)

DIGITS = 6
"""Significant digits of a proposed number."""
MOST_RANDOM_TRIALS = 10
RANDOM_SHARE = 3
"""Of the trials of a Bayesian search, one in so many is drawn at random before the model is asked."""

Position = float | int | str
"""A value as the sampler sees it; on a reverse logarithmic scale this is its distance from 1."""


def propose(search: Search, trials: Sequence[Trial], number: int) -> dict[str, str]:
    """The values of a trial, by name.

    Args:
        trials: those that were proposed before, of this search or of others with ranges like these; what lies outside
            of these ranges is left out. Values of hyperparameters that have no range do not matter.
        number: of the new trial, from 0.
    """
    return PROPOSERS[search.strategy](search, trials, number)


def grid(search: Search, trials: Sequence[Trial], number: int) -> dict[str, str]:
    """The combinations in turn; the last range changes fastest."""
    ranges = [one for one in search.ranges if isinstance(one, CategoricalRange)]
    combinations = itertools.product(*(one.values for one in ranges))
    chosen = next(itertools.islice(combinations, number, None))
    return {one.name: value for one, value in zip(ranges, chosen, strict=True)}


def random(search: Search, trials: Sequence[Trial], number: int) -> dict[str, str]:
    """Evenly over each range, on its scale."""
    return _sampled(RandomSampler(seed=_seed(search, number)), search, ())


def bayesian(search: Search, trials: Sequence[Trial], number: int) -> dict[str, str]:
    """Where good values were denser than bad ones: a tree-structured Parzen estimator (Bergstra et al. 2011)."""
    first = max(search.parallel, min(MOST_RANDOM_TRIALS, search.trials // RANDOM_SHARE))
    sampler = TPESampler(seed=_seed(search, number), n_startup_trials=first)
    return _sampled(sampler, search, trials)


PROPOSERS: dict[str, Callable[[Search, Sequence[Trial], int], dict[str, str]]] = {
    "Bayesian": bayesian,
    "Random": random,
    "Grid": grid,
    "Hyperband": bayesian,
}
"""By the original's names of strategies. Hyperband differs in which trials it stops, not in what it proposes."""


def importances(search: Search, trials: Sequence[Trial]) -> dict[str, float]:
    """How much of what makes a trial good is told by each hyperparameter: shares that add up to 1, the largest first.

    They are PED-ANOVA's (Watanabe et al. 2023, arXiv:2304.10255). Empty when there are too few trials with a value, or
    none differs from the others.
    """
    measured = [replace(trial, status="Completed") for trial in trials if _is_measured(trial)]
    if len({trial.value for trial in measured}) < 2:
        return {}
    study = _study(RandomSampler(seed=0), search, measured)
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def _seed(search: Search, number: int) -> int:
    return int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])


def _sampled(sampler: BaseSampler, search: Search, trials: Sequence[Trial]) -> dict[str, str]:
    study = _study(sampler, search, trials)
    asked = study.ask({one.name: distribution(one) for one in search.ranges})
    return {one.name: text_of(one, asked.params[one.name]) for one in search.ranges}


def _study(sampler: BaseSampler, search: Search, trials: Sequence[Trial]) -> optuna.Study:
    study = optuna.create_study(sampler=sampler, direction=search.objective.optuna_direction)
    study.add_trials([_frozen(search, trial) for trial in trials])
    return study


def _frozen(search: Search, trial: Trial) -> FrozenTrial:
    """A trial as Optuna keeps it.

    Optuna's model leaves failed and running trials out. Here they count as pruned before their first epoch, the worst
    that there is, so that the neighbourhood of values that fail, or are being tried, is not proposed again.
    """
    known = {one.name: position_of(one, trial.values[one.name]) for one in search.ranges if one.name in trial.values}
    params = {name: position for name, position in known.items() if position is not None}
    distributions = {one.name: distribution(one) for one in search.ranges if one.name in params}
    if trial.status == "Completed" and _is_measured(trial):
        return create_trial(value=trial.value, params=params, distributions=distributions)
    reached: dict[int, float] = {}
    if trial.status == "Stopped" and trial.value is not None and _is_measured(trial):
        reached = {len(trial.curve): trial.value}
    return create_trial(
        state=TrialState.PRUNED, params=params, distributions=distributions, intermediate_values=reached
    )


def _is_measured(trial: Trial) -> bool:
    return trial.value is not None and math.isfinite(trial.value)


def distribution(one: Range) -> BaseDistribution:
    """Of the positions of a range."""
    if isinstance(one, CategoricalRange):
        return CategoricalDistribution(one.values)
    if one.scale == "ReverseLogarithmic":
        return FloatDistribution(1 - one.maximum, 1 - one.minimum, log=True)
    is_logarithmic = one.scale == "Logarithmic"
    if isinstance(one, IntegerRange):
        return IntDistribution(int(one.minimum), int(one.maximum), log=is_logarithmic)
    return FloatDistribution(one.lowest, one.maximum, log=is_logarithmic)


def position_of(one: Range, text: str) -> Position | None:
    """Where a value lies; None outside of the range."""
    if isinstance(one, CategoricalRange):
        return text if text in one.values else None
    number = float(text)
    if not one.lowest <= number <= one.maximum:
        return None
    if one.scale == "ReverseLogarithmic":
        return 1 - number
    return int(number) if isinstance(one, IntegerRange) else number


def text_of(one: Range, position: Position) -> str:
    """The value at a position, as it is sent to a training job."""
    if isinstance(one, NumberRange):
        assert not isinstance(position, str)
        number = 1 - position if one.scale == "ReverseLogarithmic" else position
        if isinstance(one, IntegerRange):
            return str(int(number))
        return repr(min(max(float(f"{number:.{DIGITS}g}"), one.lowest), one.maximum))
    return str(position)
