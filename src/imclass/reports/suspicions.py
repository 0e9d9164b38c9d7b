"""Labels that are probably wrong, by the names of classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imclass.calibration import probabilities_of
from imclass.reports.numbers.judged import Judged
from imclass.reports.numbers.label_errors import doubted_decisions, suspects
from imclass.training.answers import Answers


@dataclass(frozen=True)
class Suspicion:
    """A label that is probably wrong.

    Attributes:
        row: of the answer to its image.
        label: the name of a class; with several labels an image, of a class that is there, or "no" and the name.
        rather: what is likelier, in the same words.
        probability: of the label.
    """

    row: int
    label: str
    rather: str
    probability: float


def suspicions(answers: Answers, names: Sequence[str], *, multi_label: bool) -> list[Suspicion]:
    """Find labels that are probably wrong, the least probable first.

    Args:
        names: of the classes.
    """
    probabilities = probabilities_of(answers.logits, multi_label=multi_label)
    if multi_label:
        doubted = doubted_decisions(probabilities, answers.labels)
        words = [(f"no {names[k]}", names[k]) for k in doubted.classes]
        sides = [pair[::-1] if there else pair for pair, there in zip(words, doubted.are_labelled, strict=True)]
        rows, label_probabilities = doubted.rows, doubted.label_probabilities
    else:
        found = suspects(Judged(probabilities, answers.labels[:, 0].astype(np.int64)))
        labels = answers.labels[found.rows, 0].astype(np.int64)
        sides = [(names[label], names[other]) for label, other in zip(labels, found.suggestions, strict=True)]
        rows, label_probabilities = found.rows, found.label_probabilities
    return [
        Suspicion(row, label, rather, probability)
        for row, (label, rather), probability in zip(rows.tolist(), sides, label_probabilities.tolist(), strict=True)
    ]
