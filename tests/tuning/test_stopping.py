"""Which trials are stopped early."""

import math
import warnings

import numpy as np
import optuna
import pytest

from imclass.tuning.objective import Objective
from imclass.tuning.ranges import tunable_ranges
from imclass.tuning.search import HyperbandEpochs, Search
from imclass.tuning.stopping import (
    REDUCTION,
    bracket_of,
    brackets,
    median_rule,
    rungs,
    should_stop,
    successive_halving,
)
from imclass.tuning.trials import Trial, TrialStatus

ACCURACY, LOSS = Objective(), Objective("validation:loss", "Minimize")
NAN = math.nan


def trial(number: int, *curve: float, status: TrialStatus = "Completed") -> Trial:
    value = curve[-1] if curve and status in ("Completed", "Stopped") else None
    return Trial(number, {}, status, curve, value)


def running(*curve: float) -> Trial:
    return trial(99, *curve, status="Running")


def test_a_trial_below_the_median_of_the_averages_is_stopped() -> None:
    others = [trial(0, 0.1, 0.3, 0.9), trial(1, 0.4, 0.6), trial(2, 0.7, 0.9)]  # averages after 2: 0.2, 0.5, 0.8
    assert median_rule(ACCURACY, running(0.9, 0.49), others)
    assert not median_rule(ACCURACY, running(0.0, 0.5), others)
    assert not median_rule(LOSS, running(0.9, 0.5), others)
    assert median_rule(LOSS, running(0.0, 0.51), others)


def test_only_trials_that_ended_and_came_so_far_count() -> None:
    others = [trial(0, 0.9), trial(1, 0.9, 0.9, status="Failed"), trial(2, 0.9, 0.9, status="Running")]
    assert not median_rule(ACCURACY, running(0.1, 0.1), others)
    assert median_rule(ACCURACY, running(0.1, 0.1), [*others, trial(3, 0.2, 0.2, status="Stopped")])


def test_what_is_no_number_is_worse_than_any() -> None:
    assert median_rule(ACCURACY, running(NAN), [trial(0, 0.1)])
    assert median_rule(LOSS, running(NAN), [trial(0, 9.0)])
    assert not median_rule(LOSS, running(9.0), [trial(0, NAN, 1.0)])


def test_each_epoch_is_judged_once_and_the_trial_itself_is_no_rival() -> None:
    search = Search(tunable_ranges(), 10, early_stopping="Auto")
    poor, others = running(0.1, 0.1), [trial(0, 0.9, 0.9)]
    assert should_stop(search, poor, [*others, poor])
    assert not should_stop(search, poor, [*others, poor], judged=2)
    assert not should_stop(Search(tunable_ranges(), 10), poor, others)


def test_brackets_share_the_trials_as_hyperband_does() -> None:
    epochs = HyperbandEpochs(1, 27)
    assert brackets(epochs) == 4
    assert [list(rungs(bracket, epochs)) for bracket in range(4)] == [[1, 3, 9], [3, 9], [9], []]
    counts = np.bincount([bracket_of(number, epochs) for number in range(600)])
    hyperband = np.array([27, 12, 6, 4])  # Li et al. 2018, Algorithm 1, with R = 27
    assert counts / 600 == pytest.approx(hyperband / hyperband.sum(), abs=0.01)
    assert brackets(HyperbandEpochs(1, 1)) == 1
    assert list(rungs(0, HyperbandEpochs(2, 2))) == []


def test_one_trial_in_three_goes_on_from_a_rung() -> None:
    epochs = HyperbandEpochs(1, 3)
    first = [number for number in range(40) if bracket_of(number, epochs) == 0]
    others = [trial(number, 0.1 * place) for place, number in enumerate(first[:5])]  # 0.0 to 0.4

    def is_stopped(value: float, judged: int = 0) -> bool:
        return successive_halving(ACCURACY, epochs, trial(first[5], value, status="Running"), others, judged)

    assert not is_stopped(0.35)  # second of six
    assert is_stopped(0.25)
    assert not is_stopped(0.25, judged=1)
    assert is_stopped(NAN)
    strangers = [Trial(number, {}, "Completed", (0.9,), 0.9) for number in range(40) if bracket_of(number, epochs) == 1]
    assert not successive_halving(ACCURACY, epochs, trial(first[5], 0.35, status="Running"), [*others, *strangers])


def test_a_trial_is_complete_after_the_most_epochs() -> None:
    done = running(0.1, 0.5, 0.9)
    assert successive_halving(ACCURACY, HyperbandEpochs(1, 3, cuts=True), done, [])
    assert not successive_halving(ACCURACY, HyperbandEpochs(1, 3), done, [])


@pytest.mark.parametrize("objective", [ACCURACY, LOSS])
def test_decisions_are_those_of_optuna(objective: Objective) -> None:
    """Against Optuna's pruner, for trials that run one after the other in one bracket."""
    epochs = HyperbandEpochs(1, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION)
    study = optuna.create_study(pruner=pruner, direction=objective.optuna_direction)
    generator = np.random.default_rng(3)
    numbers = [number for number in range(200) if bracket_of(number, epochs) == 0][:30]
    ours: list[Trial] = []
    for number in numbers:
        asked, curve, stops = study.ask(), (), False
        while len(curve) < 29 and not stops:
            curve = (*curve, float(generator.normal()))
            asked.report(curve[-1], len(curve))
            stops = successive_halving(objective, epochs, Trial(number, {}, curve=curve), ours, len(curve) - 1)
            assert stops == asked.should_prune()
        study.tell(asked, curve[-1])
        ours.append(Trial(number, {}, "Stopped", curve, curve[-1]))
    assert len({len(one.curve) for one in ours}) > 2
