"""Precision and recall of the classes of a multi-label model, at every threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imclass.reports.numbers.thresholds import Threshold, selection, threshold_for
from imclass.training.metrics import average_precisions

WANTED_PRECISION = 0.9


@dataclass(frozen=True)
class PrecisionRecall:
    """One class.

    Attributes:
        recall, precision: (M,) float64 at every threshold, which falls.
        average_precision: None for a class without positive images.
        threshold: from which on 90 % of the answers are right; its coverage is the recall there.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    average_precision: float | None
    threshold: Threshold


def precision_recall(probabilities: NDArray[np.float64], labels: NDArray[np.float32]) -> list[PrecisionRecall]:
    """The curves of all classes.

    Args:
        probabilities: (N, K).
        labels: (N, K), positive above 0.5.
    """
    areas = average_precisions(probabilities.astype(np.float32), labels)
    return [_of_class(probabilities[:, k], labels[:, k] > 0.5, areas[k]) for k in range(labels.shape[1])]


def _of_class(scores: NDArray[np.float64], is_positive: NDArray[np.bool_], area: float) -> PrecisionRecall:
    selected = selection(scores, is_positive)
    positives = int(is_positive.sum())
    recall = selected.coverage * selected.precision * len(scores) / max(positives, 1)
    found = threshold_for(selected, WANTED_PRECISION)
    covered = found.coverage * found.precision * len(scores) / max(positives, 1)
    threshold = Threshold(found.wanted, found.threshold, covered, found.precision)
    return PrecisionRecall(recall, selected.precision, None if np.isnan(area) else float(area), threshold)
