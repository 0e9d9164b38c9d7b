import numpy as np
import pytest
from scipy.stats import binomtest

from imclass.reports.numbers.agreement import agreement


def test_images_are_lost_won_or_neither() -> None:
    first = np.array([1, 1, 1, 0, 0, 0, 1], np.bool_)
    second = np.array([1, 0, 1, 1, 0, 0, 0], np.bool_)
    found = agreement(first, second)
    assert (found.both_right, found.both_wrong) == (2, 2)
    assert (found.lost.tolist(), found.won.tolist()) == ([1, 6], [3])


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (0, 5), (3, 9), (40, 41), (300, 420)])
def test_chance_is_that_of_the_exact_test(lost: int, won: int) -> None:
    first = np.arange(lost + won) < lost
    wanted = binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert agreement(first, ~first).chance == pytest.approx(wanted, rel=1e-9)
