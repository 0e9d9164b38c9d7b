"""Does what was exported answer as the model does?"""

from itertools import cycle
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.errors import ArtifactError
from imclass.inference.exports.format import Answer
from imclass.inference.exports.program import Program

TOLERANCE: Final = 1e-4  # of a probability
# Of the logarithm of a probability, as a share of it where that is above 1. It shows what answers near 0 and 1 hide.
LOGARITHM_TOLERANCE: Final = 1e-3
SMALLEST: Final = 1e-30  # probabilities below count as this one
BATCH_SIZES: Final = (1, 7, 16)  # taken in turn, to see that the batch is free


def check_answers(program: Program, answer: Answer, images: NDArray[np.uint8], *, where: str) -> float:
    """Compare the answers of a program and of its export.

    Args:
        images: (N, C, H, W); some count twice when they are fewer than batches of all sizes take.
        where: what is to be written, for messages.

    Returns:
        The largest difference of a probability.

    Raises:
        ArtifactError: they differ by more than rounding explains, or are no numbers.
    """
    ours, theirs = [], []
    for batch in _batches(images):
        with torch.inference_mode():
            ours.append(program(torch.from_numpy(batch)).numpy())
        theirs.append(answer(batch))
    expected, given = np.concatenate(ours), np.concatenate(theirs)
    if given.shape != expected.shape:
        raise _differs(f"gives answers of shape {given.shape} instead of {expected.shape}", where)
    probability = float(np.abs(given - expected).max())
    logs = [np.log(np.maximum(values, SMALLEST)) for values in (expected, given)]
    logarithm = float((np.abs(logs[1] - logs[0]) / np.maximum(np.abs(logs[0]), 1)).max())
    if not (probability <= TOLERANCE and logarithm <= LOGARITHM_TOLERANCE):  # so written, NaN fails too
        raise _differs(
            f"answers otherwise: probabilities differ by {probability:.1e} (at most {TOLERANCE:.0e} is allowed), their "
            f"logarithms by {logarithm:.1e} of their size ({LOGARITHM_TOLERANCE:.0e})",
            where,
        )
    return probability


def _batches(images: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """All images in batches of every size; the last batch may be of another."""
    order = np.resize(np.arange(len(images)), max(len(images), sum(BATCH_SIZES)))
    batches: list[NDArray[np.uint8]] = []
    for size in cycle(BATCH_SIZES):
        if not len(order):
            return batches
        batches.append(np.ascontiguousarray(images[order[:size]]))
        order = order[size:]
    raise AssertionError("a cycle has no end")


def _differs(what: str, where: str) -> ArtifactError:
    return ArtifactError(
        f"the exported model {what}; nothing is written",
        where=where,
        fix="Another version of the exporter's packages may help (constraints.txt names those that are tested). "
        "Otherwise this is a fault of imclass; please report it with the model.",
    )
