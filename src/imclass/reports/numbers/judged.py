"""Answers beside the labels, in the forms that the other numbers are made of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Judged:
    """What a model with exclusive classes answers to N images.

    Attributes:
        probabilities: (N, K) float64, rows add up to 1.
        labels: (N,) int64.
    """

    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]

    @property
    def num_classes(self) -> int:
        return int(self.probabilities.shape[1])

    @cached_property
    def answers(self) -> NDArray[np.int64]:
        """(N,) the likeliest class."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """(N,) the probability of the answer."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def label_probability(self) -> NDArray[np.float64]:
        """(N,) the probability of the label."""
        return np.asarray(self.probabilities[np.arange(len(self.labels)), self.labels])

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """(N,)"""
        return np.asarray(self.answers == self.labels)

    @cached_property
    def lead(self) -> NDArray[np.float64]:
        """(N,) how far the answer is ahead of the second likeliest class; 1 where there is one class only."""
        if self.num_classes == 1:
            return np.ones(len(self.labels))
        two = np.partition(self.probabilities, -2, axis=1)[:, -2:]
        return np.asarray(two[:, 1] - two[:, 0])


def most_confidently_wrong(judged: Judged, most: int) -> NDArray[np.int64]:
    """The rows of wrong answers, the surest first."""
    wrong = np.flatnonzero(~judged.is_right)
    return wrong[np.argsort(-judged.confidence[wrong], kind="stable")][:most]


def least_certain(judged: Judged, most: int) -> NDArray[np.int64]:
    """The rows whose two likeliest classes are closest, right or wrong, the closest first."""
    return np.argsort(judged.lead, kind="stable")[:most]


def worst_decisions(
    probabilities: NDArray[np.float64], labels: NDArray[np.float32], most: int
) -> list[tuple[int, int]]:
    """(row, class) of the decisions of a multi-label model that are furthest from the label, one of an image.

    Args:
        probabilities: (N, K).
        labels: (N, K) of 0 and 1.
    """
    distances = np.abs(probabilities - (labels > 0.5))
    worst = distances.argmax(axis=1)
    largest = distances[np.arange(len(worst)), worst]
    rows = np.argsort(-largest, kind="stable")
    return [(int(row), int(worst[row])) for row in rows[:most] if largest[row] > 0.5]
