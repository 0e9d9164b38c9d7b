import pytest

from imclass.hyperparameters import parse
from imclass.training.early_stopping import EarlyStopping


def epochs_until_end(accuracies: list[float], **settings: object) -> int | None:
    stopping = EarlyStopping.of(parse({"early_stopping": "True", **settings}))
    for number, accuracy in enumerate(accuracies, start=1):
        if stopping.ends_after(number, accuracy):
            return number
    return None


def test_ends_after_patience_epochs_without_improvement() -> None:
    rising = [0.1, 0.2, 0.3]
    settings = {"early_stopping_min_epochs": 1, "early_stopping_patience": 2}
    assert epochs_until_end([*rising, 0.3, 0.3, 0.9], **settings) == 5


def test_never_before_the_fewest_epochs() -> None:
    settings = {"early_stopping_min_epochs": 8, "early_stopping_patience": 2}
    assert epochs_until_end([0.5] * 20, **settings) == 8


def test_an_improvement_below_the_tolerance_does_not_count() -> None:
    settings = {"early_stopping_min_epochs": 1, "early_stopping_patience": 3, "early_stopping_tolerance": 0.1}
    assert epochs_until_end([0.50, 0.52, 0.54, 0.549], **settings) == 4
    assert epochs_until_end([0.50, 0.56, 0.57, 0.62, 0.63, 0.64], **settings) is None


def test_an_improvement_starts_the_count_again() -> None:
    settings = {"early_stopping_min_epochs": 1, "early_stopping_patience": 2}
    assert epochs_until_end([0.5, 0.4, 0.6, 0.5, 0.7, 0.6, 0.65], **settings) == 7


def test_off_by_default() -> None:
    stopping = EarlyStopping.of(parse({}))
    assert not any(stopping.ends_after(number, 0.5) for number in range(1, 100))


@pytest.mark.parametrize("first", [0.0, float("nan")])
def test_a_useless_first_epoch_does_not_block_later_ones(first: float) -> None:
    settings = {"early_stopping_min_epochs": 1, "early_stopping_patience": 2}
    assert epochs_until_end([first, 0.1, 0.2, 0.3], **settings) is None
