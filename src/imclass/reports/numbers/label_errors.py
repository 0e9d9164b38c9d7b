"""Labels that are probably wrong, by confident learning.

C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (Journal of
Artificial Intelligence Research 70, 2021). A class counts as confidently present in an image when its probability is at
least the mean probability that the class has in the images labelled with it. An image in which another class than its
label is confidently present is suspected.

The method asks for probabilities of a network that did not see the label: of held-out images, or from cross-validation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imclass.reports.numbers.judged import Judged


@dataclass(frozen=True)
class Suspects:
    """Images whose label is probably wrong, the most probably wrong first.

    Attributes:
        rows: (M,) int64 places among the images looked at.
        suggestions: (M,) int64, the class that is confidently there instead.
        margins: (M,) float64, -1 to 0: probability of the label less that of the suggestion.
    """

    rows: NDArray[np.int64]
    suggestions: NDArray[np.int64]
    margins: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


def class_thresholds(judged: Judged) -> NDArray[np.float64]:
    """(K,) mean probability of each class in the images labelled with it; infinity for a class without images."""
    counts = np.bincount(judged.labels, minlength=judged.num_classes)
    sums = np.bincount(judged.labels, judged.label_probability, judged.num_classes)
    thresholds = np.full(judged.num_classes, np.inf)
    np.divide(sums, counts, out=thresholds, where=counts > 0)
    return thresholds


def confident_classes(judged: Judged) -> NDArray[np.int64]:
    """(N,) the likeliest of the classes that are confidently present in each image; -1 where none is."""
    present = judged.probabilities >= class_thresholds(judged)
    likeliest = np.where(present, judged.probabilities, -1.0).argmax(axis=1)
    return np.where(present.any(axis=1), likeliest, -1)


def suspects(judged: Judged) -> Suspects:
    """Find images in which another class is confidently there than their label, and likelier than it.

    They are in the order of their margin, the largest contradiction first.
    """
    confident = confident_classes(judged)
    # Where the label is the likeliest class, it is believed although its probability is below its class's mean.
    contradicted = (confident >= 0) & (judged.answers != judged.labels) & (confident != judged.labels)
    rows = np.flatnonzero(contradicted)
    margins = judged.label_probability[rows] - judged.probabilities[rows, confident[rows]]
    order = np.argsort(margins, kind="stable")
    return Suspects(rows[order], confident[rows][order], margins[order])
