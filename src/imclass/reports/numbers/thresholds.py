"""Where to say "unknown": from which probability on answers are as often right as wanted.

The trade between answers given and answers right is that of selective classification: R. El-Yaniv, Y. Wiener, "On the
Foundations of Noise-free Selective Classification" (JMLR 11, 2010).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WANTED = (0.8, 0.9, 0.95, 0.98, 0.99)


@dataclass(frozen=True)
class Selection:
    """What happens when only answers of at least some probability are given.

    Attributes:
        thresholds: (M,) float64, falling, each a probability that some answer has.
        coverage: (M,) float64, share of the images that are answered.
        precision: (M,) float64, share of the answers that is right.
    """

    thresholds: NDArray[np.float64]
    coverage: NDArray[np.float64]
    precision: NDArray[np.float64]


@dataclass(frozen=True)
class Threshold:
    """The smallest probability from which on answers are right as often as wanted.

    Attributes:
        wanted: precision, 0 to 1.
        threshold: answers below it become "unknown"; None where no threshold gives the wanted precision.
        coverage, precision: what it gives, 0 to 1; 0 and 0 without a threshold.
    """

    wanted: float
    threshold: float | None
    coverage: float
    precision: float


def selection(confidence: NDArray[np.float64], is_right: NDArray[np.bool_]) -> Selection:
    """Coverage and precision at every threshold that makes a difference.

    Args:
        confidence: (N,) probability of each answer.
        is_right: (N,)
    """
    order = np.argsort(-confidence, kind="stable")
    ranked, right = confidence[order], np.cumsum(is_right[order])
    last_of_tie = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1) if len(ranked) else np.zeros(0, np.int64)
    answered = last_of_tie + 1
    return Selection(ranked[last_of_tie], answered / max(len(ranked), 1), right[last_of_tie] / answered)


def threshold_for(selected: Selection, wanted: float) -> Threshold:
    """The threshold of the widest coverage at which the wanted precision is reached."""
    good = np.flatnonzero(selected.precision >= wanted)
    if not len(good):
        return Threshold(wanted, None, 0.0, 0.0)
    place = int(good[-1])
    return Threshold(
        wanted, float(selected.thresholds[place]), float(selected.coverage[place]), float(selected.precision[place])
    )
