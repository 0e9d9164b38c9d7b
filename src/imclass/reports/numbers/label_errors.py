"""Labels that are probably wrong, by confident learning.

C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (Journal of
Artificial Intelligence Research 70, 2021), ranked by self-confidence:

1. A class is confidently there in an image when its probability is at least the mean probability that the class has in
   the images labelled with it. Of several the likeliest counts.
2. The images of a label in which its own class is confidently there, and those in which each other class is, tell the
   share of that label's images that belong to another class, also of the images in which no class is confidently there.
3. As many images are suspected as these shares are together, those whose own label is least probable.

The paper's pruning by noise rate takes each share from its own pair of classes instead. Of labels that were swapped on
purpose it finds fewer, because pairs of classes that look alike have large shares (bench/label_errors.py has both).

Where an image may have several labels, each class is a question of its own, is it there or not, as in A. Thyagarajan
and others, "Identifying Incorrect Annotations in Multi-Label Classification Data" (2022).

The method asks for probabilities of a network that did not see the label: of held-out images, or from cross-validation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imclass.reports.numbers.judged import Judged


@dataclass(frozen=True)
class Suspects:
    """Images whose label is probably wrong, those with the least probable label first.

    Attributes:
        rows: (M,) int64 places among the images looked at.
        suggestions: (M,) int64, the likeliest class.
        label_probabilities: (M,) float64, of the labels.
    """

    rows: NDArray[np.int64]
    suggestions: NDArray[np.int64]
    label_probabilities: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class DoubtedDecisions:
    """Labels of images with several of them that are probably wrong, the least probable first.

    Attributes:
        rows: (M,) int64 places among the images looked at; an image may come with several classes.
        classes: (M,) int64, those in question.
        are_labelled: (M,) bool, whether the class is among the labels.
        label_probabilities: (M,) float64, that the class is there if it is among the labels, else that it is not.
    """

    rows: NDArray[np.int64]
    classes: NDArray[np.int64]
    are_labelled: NDArray[np.bool_]
    label_probabilities: NDArray[np.float64]

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


def estimated_errors(judged: Judged) -> NDArray[np.int64]:
    """How many images with a label (row) are of another class (column): (K, K) int64, the paper's calibrated joint."""
    confident = confident_classes(judged)
    is_sure = confident >= 0
    classes = judged.num_classes
    cells = judged.labels[is_sure] * classes + confident[is_sure]
    joint = np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
    images = np.bincount(judged.labels, minlength=classes)[:, np.newaxis]
    shares = joint / np.maximum(joint.sum(axis=1, keepdims=True), 1)
    estimated: NDArray[np.int64] = np.round(shares * images).astype(np.int64)
    np.fill_diagonal(estimated, 0)
    return estimated


def suspects(judged: Judged) -> Suspects:
    """Find the images whose label is probably wrong.

    Where the label is the likeliest class it is believed, however many errors are estimated.
    """
    doubted = np.flatnonzero(~judged.is_right)
    # By the label's probability alone: beside the answer's, confusions of similar classes would come first, of which
    # the network is sure and wrong (bench/label_errors.py has both orders).
    order = np.argsort(judged.label_probability[doubted], kind="stable")
    rows = doubted[order[: estimated_errors(judged).sum()]]
    return Suspects(rows, judged.answers[rows], judged.label_probability[rows])


def doubted_decisions(probabilities: NDArray[np.float64], labels: NDArray[np.float32]) -> DoubtedDecisions:
    """Find labels that are probably wrong among images that may have several, class by class.

    Args:
        probabilities: (N, K), each from 0 to 1.
        labels: (N, K) of 0 and 1.
    """
    there = labels > 0.5
    found = [
        suspects(Judged(np.stack([1 - chances, chances], axis=1), is_labelled.astype(np.int64)))
        for chances, is_labelled in zip(probabilities.T, there.T, strict=True)
    ]
    rows = np.concatenate([each.rows for each in found])
    classes = np.repeat(np.arange(len(found)), [len(each) for each in found])
    label_probabilities = np.concatenate([each.label_probabilities for each in found])
    order = np.argsort(label_probabilities, kind="stable")
    rows, classes = rows[order], classes[order]
    return DoubtedDecisions(rows, classes, there[rows, classes], label_probabilities[order])
