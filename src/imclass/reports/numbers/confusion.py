"""What is taken for what, and an order of the classes in which it shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imclass.reports.numbers.judged import Judged


@dataclass(frozen=True)
class Confusion:
    """Images of one class that were taken for another.

    Attributes:
        label: the class they have.
        answer: the class they were given.
        count: how many.
        share: these among all images of the class, 0 to 1.
    """

    label: int
    answer: int
    count: int
    share: float


def confusion_matrix(judged: Judged) -> NDArray[np.int64]:
    """(K, K) int64, row = label, column = answer."""
    classes = judged.num_classes
    cells = judged.labels * classes + judged.answers
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def top_confusions(matrix: NDArray[np.int64], most: int) -> list[Confusion]:
    """The pairs of classes that are confused most often; of equally many, those of the smaller class first."""
    totals = matrix.sum(axis=1)
    labels, answers = np.nonzero(matrix - np.diag(np.diag(matrix)))
    counts = matrix[labels, answers]
    shares = counts / totals[labels]
    order = np.lexsort((answers, labels, -shares, -counts))[:most]
    return [Confusion(int(labels[i]), int(answers[i]), int(counts[i]), float(shares[i])) for i in order]


def similarity_order(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """An order of the classes in which those that are confused stand together.

    Spectral seriation: the order of the entries of the eigenvector to the second smallest eigenvalue of the graph's
    Laplacian, in which confusions are the edges (J. E. Atkins, E. G. Boman, B. Hendrickson, "A Spectral Algorithm for
    Seriation and the Consecutive Ones Problem", SIAM Journal on Computing 28, 1998). Each part of the graph that hangs
    together is ordered by itself, the largest first; classes that are confused with none come last.

    Returns:
        (K,) int64, a permutation.
    """
    totals = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shares = matrix / totals
    np.fill_diagonal(shares, 0)
    ties = shares + shares.T
    order: list[int] = []
    for part in connected_parts(ties > 0):
        order += part if len(part) == 1 else [part[place] for place in _along_the_chain(ties[np.ix_(part, part)])]
    return np.array(order, np.int64)


def connected_parts(is_linked: NDArray[np.bool_]) -> list[list[int]]:
    """The parts of a graph that hang together, the largest first, each sorted.

    Args:
        is_linked: (K, K), symmetric.
    """
    waiting, parts = set(range(len(is_linked))), []
    while waiting:
        part, front = set[int](), [min(waiting)]
        while front:
            node = front.pop()
            if node in waiting:
                waiting.remove(node)
                part.add(node)
                front += np.flatnonzero(is_linked[node]).tolist()
        parts.append(sorted(part))
    return sorted(parts, key=len, reverse=True)


def _along_the_chain(ties: NDArray[np.float64]) -> list[int]:
    laplacian = np.diag(ties.sum(axis=1)) - ties
    vector = np.linalg.eigh(laplacian)[1][:, 1]
    vector = vector if vector[np.abs(vector).argmax()] > 0 else -vector  # the sign of an eigenvector is free
    order: list[int] = np.argsort(vector, kind="stable").tolist()
    return order
