"""The values of the next trial."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from imclass.tuning.proposals import importances, position_of, propose, text_of
from imclass.tuning.ranges import CategoricalRange, ContinuousRange, IntegerRange, NumberRange, tunable_ranges
from imclass.tuning.search import Search, Strategy
from imclass.tuning.trials import Trial

RATE = ContinuousRange("learning_rate", 1e-5, 1.0)
BATCH = IntegerRange("mini_batch_size", 8, 64)
OPTIMIZER = CategoricalRange("optimizer", ("sgd", "adam"))


def quality(values: dict[str, str]) -> float:
    """Best with a learning rate of 0.01 and adam."""
    return -abs(math.log10(float(values["learning_rate"])) + 2) - (values["optimizer"] == "sgd")


def searched(search: Search, count: int, earlier: tuple[Trial, ...] = ()) -> list[Trial]:
    trials: list[Trial] = []
    for number in range(count):
        values = propose(search, [*earlier, *trials], number)
        trials.append(Trial(number, values, "Completed", (quality(values),), quality(values)))
    return trials


@pytest.mark.parametrize("strategy", ["Bayesian", "Random", "Hyperband"])
def test_values_lie_within_their_ranges(strategy: Strategy) -> None:
    search = Search(tunable_ranges(), 30, strategy=strategy)
    trials: list[Trial] = []
    for number in range(30):
        values = propose(search, trials, number)
        assert list(values) == [one.name for one in search.ranges]
        for one in search.ranges:
            if isinstance(one, NumberRange):
                assert one.minimum <= float(values[one.name]) <= one.maximum
                assert position_of(one, values[one.name]) is not None
            else:
                assert values[one.name] in one.values
        assert str(int(values["mini_batch_size"])) == values["mini_batch_size"]
        trials.append(Trial(number, values, "Completed", (0.5,), number / 30))


def test_a_search_that_goes_on_proposes_the_same() -> None:
    search = Search((RATE, BATCH, OPTIMIZER), 12, seed=5)
    trials = searched(search, 12)
    assert [propose(search, trials[:number], number) for number in (3, 7, 11)] == [
        trials[number].values for number in (3, 7, 11)
    ]
    other = searched(replace(search, seed=6), 12)
    assert all(one.values != another.values for one, another in zip(trials, other, strict=True))


def test_bayesian_finds_what_random_misses() -> None:
    bests = {
        strategy: [
            max(quality(dict(trial.values)) for trial in searched(search, 30))
            for seed in range(8)
            for search in [Search((RATE, OPTIMIZER), 30, strategy=strategy, seed=seed)]
        ]
        for strategy in ("Bayesian", "Random")
    }
    assert np.median(bests["Bayesian"]) > np.median(bests["Random"])


def test_earlier_trials_are_learnt_from() -> None:
    search = Search((RATE, OPTIMIZER), 10)
    earlier = tuple(searched(replace(search, strategy="Random", seed=1), 60))
    cold, warm = ([quality(propose(search, known, number)) for number in range(20)] for known in ((), earlier))
    assert np.median(warm) > np.median(cold) + 0.5
    outside = tuple(replace(trial, values={"learning_rate": "7", "optimizer": "lion"}) for trial in earlier)
    assert propose(search, outside, 0).keys() == {"learning_rate", "optimizer"}


def test_trials_without_a_value_push_away() -> None:
    search = Search((OPTIMIZER,), 40)
    good = tuple(Trial(number, {"optimizer": "sgd"}, "Completed", (), 0.5) for number in range(12))
    failed = tuple(Trial(12 + number, {"optimizer": "adam"}, "Failed") for number in range(12))
    proposed = Counter(propose(search, [*good, *failed], number)["optimizer"] for number in range(40))
    assert proposed["sgd"] > 2 * proposed["adam"]


def test_a_grid_is_walked_in_order() -> None:
    search = Search((OPTIMIZER, CategoricalRange("num_layers", ("18", "34", "50"))), 6, strategy="Grid")
    points = [propose(search, (), number) for number in range(6)]
    assert points[:4] == [
        {"optimizer": "sgd", "num_layers": "18"},
        {"optimizer": "sgd", "num_layers": "34"},
        {"optimizer": "sgd", "num_layers": "50"},
        {"optimizer": "adam", "num_layers": "18"},
    ]
    assert len({tuple(point.items()) for point in points}) == 6


@pytest.mark.parametrize(
    ("one", "low", "middle", "high"),
    [
        (ContinuousRange("learning_rate", 1e-4, 1.0), 1e-4, 1e-2, 1.0),
        (ContinuousRange("momentum", 0.0, 0.9999), 0.0, 0.99, 0.9999),
        (ContinuousRange("label_smoothing", 0.0, 0.5), 0.0, 0.25, 0.5),
    ],
)
def test_half_of_random_values_lie_below_the_middle_of_the_scale(
    one: ContinuousRange, low: float, middle: float, high: float
) -> None:
    search = Search((one,), 400, strategy="Random")
    values = [float(propose(search, (), number)[one.name]) for number in range(400)]
    assert low <= min(values)
    assert max(values) <= high
    assert np.mean(np.array(values) < middle) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("one", [RATE, BATCH, ContinuousRange("momentum", 0.0, 0.999)])
def test_positions_and_texts_are_inverse(one: NumberRange) -> None:
    for text in (text_of(one, position_of(one, str(bound)) or 0.0) for bound in (one.lowest, one.maximum)):
        position = position_of(one, text)
        assert position is not None
        assert text_of(one, position) == text
    assert position_of(one, str(one.maximum * 2)) is None


def test_what_matters_is_important() -> None:
    search = Search((RATE, BATCH), 60, strategy="Random")
    trials = []
    for number in range(60):
        values = propose(search, (), number)
        trials.append(Trial(number, values, "Completed", (), -abs(math.log10(float(values["learning_rate"])) + 2)))
    shares = importances(search, trials)
    assert next(iter(shares)) == "learning_rate"
    assert sum(shares.values()) == pytest.approx(1)
    assert importances(search, trials[:1]) == {}
    assert importances(search, [replace(trial, value=0.5) for trial in trials]) == {}
