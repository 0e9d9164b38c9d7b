"""What fits together, and which trial is the best."""

import math

import pytest

from imclass.errors import HyperparameterError
from imclass.tuning.defaults import default_ranges
from imclass.tuning.objective import Objective
from imclass.tuning.ranges import CategoricalRange, IntegerRange, tunable_ranges
from imclass.tuning.search import HyperbandEpochs, Search
from imclass.tuning.trials import Trial, best_trial, is_hopeless

OPTIMIZER = CategoricalRange("optimizer", ("sgd", "adam"))


@pytest.mark.parametrize(
    ("search", "problem"),
    [
        (Search(tunable_ranges(), 4, strategy="Grid"), "takes categorical ranges only; learning_rate, momentum"),
        (Search((OPTIMIZER,), 3, strategy="Grid"), "the grid has 2 points"),
        (Search((OPTIMIZER,), 3, strategy="Hyperband"), "needs the number of epochs"),
        (Search((OPTIMIZER,), 3, strategy="Hyperband", hyperband=HyperbandEpochs(5, 4)), "cannot share out 5 to 4"),
        (Search((OPTIMIZER,), 3, strategy="Hyperband", hyperband=HyperbandEpochs(1, 20_001)), "the most are 20000"),
        (Search((OPTIMIZER,), 3, hyperband=HyperbandEpochs(1, 4)), "resources are for the strategy Hyperband"),
        (
            Search((OPTIMIZER,), 3, strategy="Hyperband", hyperband=HyperbandEpochs(1, 9), early_stopping="Auto"),
            "early stopping must be Off",
        ),
    ],
)
def test_searches_that_cannot_be_done(search: Search, problem: str) -> None:
    with pytest.raises(HyperparameterError) as caught:
        search.check()
    assert problem in str(caught.value)


def test_searches_that_can() -> None:
    Search(tunable_ranges(), 4).check()
    Search((OPTIMIZER,), 2, strategy="Grid").check()
    Search((OPTIMIZER,), 9, strategy="Hyperband", hyperband=HyperbandEpochs(1, 9)).check()


def test_defaults_leave_out_what_is_fixed_or_has_no_effect() -> None:
    assert default_ranges({}, 10_000) == tunable_ranges()
    assert [one.name for one in default_ranges({"optimizer": "sgd", "weight_decay": "0.1"}, 10_000)] == [
        "learning_rate", "momentum", "mini_batch_size"
    ]  # fmt: skip
    assert {"beta_1", "beta_2", "eps"} < {one.name for one in default_ranges({"optimizer": "adam"}, 10_000)}
    with pytest.raises(HyperparameterError):
        default_ranges({"optimizer": "lion"}, 10_000)


def test_batches_are_not_larger_than_the_data() -> None:
    found = {samples: default_ranges({}, samples)[-1] for samples in (5, 100, 1000)}
    assert found == {
        5: IntegerRange("mini_batch_size", 5, 5),
        100: IntegerRange("mini_batch_size", 8, 100),
        1000: IntegerRange("mini_batch_size", 8, 512),
    }


def test_the_best_trial() -> None:
    values = [None, 0.2, 0.7, 0.7, math.nan]
    trials = [Trial(number, {}, "Completed", (), value) for number, value in enumerate(values)]
    best, least = best_trial(trials, Objective()), best_trial(trials, Objective("validation:loss", "Minimize"))
    assert best is not None
    assert least is not None
    assert (best.number, least.number) == (2, 1)
    assert best_trial(trials[:1], Objective()) is None


def test_five_failures_without_a_success_are_enough() -> None:
    failed = [Trial(number, {}, "Failed") for number in range(5)]
    assert is_hopeless(failed)
    assert not is_hopeless(failed[:4])
    assert not is_hopeless([*failed, Trial(5, {}, "Stopped", (0.1,), 0.1)])
