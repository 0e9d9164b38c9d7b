"""How the answers of two models differ on the same images."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Agreement:
    """Two models beside each other.

    Attributes:
        both_right, both_wrong: images.
        lost: (M,) rows that the first has right and the second wrong.
        won: (M,) rows that the second has right and the first wrong.
        chance: how probable so uneven a split of lost and won is, or a more uneven one, if both models were equally
            good: the exact test of Q. McNemar (Psychometrika 12, 1947).
    """

    both_right: int
    both_wrong: int
    lost: NDArray[np.int64]
    won: NDArray[np.int64]
    chance: float


def agreement(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Agreement:
    """Compare which images two models have right, both (N,)."""
    lost, won = np.flatnonzero(first & ~second), np.flatnonzero(second & ~first)
    both_right, both_wrong = int((first & second).sum()), int((~first & ~second).sum())
    return Agreement(both_right, both_wrong, lost, won, _chance(len(lost), len(won)))


def _chance(one: int, other: int) -> float:
    """Both tails of the binomial distribution of `one + other` throws of a fair coin."""
    throws, fewer = one + other, min(one, other)
    everything = math.lgamma(throws + 1) - throws * math.log(2)
    tail = sum(math.exp(everything - math.lgamma(k + 1) - math.lgamma(throws - k + 1)) for k in range(fewer + 1))
    return min(1.0, 2 * tail)
