"""Figures of each class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imclass.reports.numbers.precision_recall import PrecisionRecall
from imclass.reports.numbers.thresholds import Threshold
from imclass.training.metrics import precision_recall_f1


@dataclass(frozen=True)
class ClassFigures:
    """One class.

    Attributes:
        index, name: of the class.
        images: that have the label.
        answered: images that were given the class.
        precision, recall, f1: 0 to 1; 0 where nothing was answered or nothing exists.
        training_images: that have the label; None where nobody knows.
        average_precision, threshold: of a multi-label model, else None.
    """

    index: int
    name: str
    images: int
    answered: int
    precision: float
    recall: float
    f1: float
    training_images: int | None = None
    average_precision: float | None = None
    threshold: Threshold | None = None


def class_figures(
    names: tuple[str, ...],
    matches: NDArray[np.int64],
    training_images: NDArray[np.int64] | None,
    curves: list[PrecisionRecall] | None = None,
) -> list[ClassFigures]:
    """Figures of all classes.

    Args:
        names: K of them.
        matches: (3, K) of each class: right answers, answers, images.
        training_images: (K,), if known.
        curves: of each class of a multi-label model.
    """
    right, answered, images = matches
    precision, recall, f1 = precision_recall_f1(right, answered, images)
    return [
        ClassFigures(
            index=index,
            name=name,
            images=int(images[index]),
            answered=int(answered[index]),
            precision=float(precision[index]),
            recall=float(recall[index]),
            f1=float(f1[index]),
            training_images=None if training_images is None else int(training_images[index]),
            average_precision=None if curves is None else curves[index].average_precision,
            threshold=None if curves is None else curves[index].threshold,
        )
        for index, name in enumerate(names)
    ]


def matches_of(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """(3, K) right answers, answers and images of each class, from a confusion matrix (row = label)."""
    return np.stack([np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)])


def count_images(labels: NDArray[np.float32], num_classes: int) -> NDArray[np.int64]:
    """(K,) images of each class.

    Args:
        labels: (N, 1) class numbers, or (N, K) of 0 and 1.
    """
    if labels.shape[1] > 1:
        return np.asarray((labels > 0.5).sum(axis=0), np.int64)
    return np.bincount(labels[:, 0].astype(np.int64), minlength=num_classes)
