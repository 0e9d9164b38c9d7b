"""What a model answered to each image of a data set, kept for what is worked out from it later.

    OUTPUT/validation.safetensors    the best epoch's answers to the validation images, in the safetensors format:
        indices   (N,) int64         place of each image in the validation set, ascending
        logits    (N, K) float32
        labels    (N, L) float32     L = 1 holds class numbers, else one 0/1 column a class
        metadata  epoch              the epoch that the weights are of, counted from 1

Unreadable images have no row.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from imclass.calibration import fit_temperature
from imclass.errors import DataError
from imclass.pending_file import PendingFile

log = logging.getLogger(__name__)

FILE = "validation.safetensors"
_PARTS = {"indices": np.dtype(np.int64), "logits": np.dtype(np.float32), "labels": np.dtype(np.float32)}


@dataclass(frozen=True)
class Answers:
    """Answers to N images.

    Attributes:
        indices: (N,) int64, place of each in its source.
        logits: (N, K) float32.
        labels: (N, L) float32.
    """

    indices: NDArray[np.int64]
    logits: NDArray[np.float32]
    labels: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indices)


def joined(parts: Sequence[Answers]) -> Answers:
    """The answers of several processes as one, in the order of the source."""
    indices = np.concatenate([part.indices for part in parts])
    order = np.argsort(indices, kind="stable")
    logits = np.concatenate([part.logits for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    return Answers(indices[order], logits[order], labels[order])


def write_answers(path: Path, answers: Answers, epoch: int) -> None:
    """Write answers to a file.

    Args:
        epoch: that the weights are of, counted from 1.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = {name: np.ascontiguousarray(getattr(answers, name)) for name in _PARTS}
    with PendingFile(path) as file:
        file.write(to_bytes(tensors, metadata={"epoch": str(epoch)}))


def read_answers(path: Path, epoch: int) -> Answers | None:
    """Read what `write_answers` wrote.

    Returns:
        None when there is no such file, or it is of another epoch.

    Raises:
        DataError: it is not what it should be.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("epoch") != str(epoch):
                return None
            parts = {name: file.get_tensor(name) for name in _PARTS}
    except (SafetensorError, OSError) as error:
        raise _damaged(path, str(error)) from error
    for name, dtype in _PARTS.items():
        dimensions = 1 if name == "indices" else 2
        if parts[name].dtype != dtype or parts[name].ndim != dimensions or len(parts[name]) != len(parts["indices"]):
            raise _damaged(path, f"{name} is {parts[name].dtype} of shape {parts[name].shape}")
    return Answers(**parts)


def temperature_of(answers: Answers, *, multi_label: bool) -> float | None:
    """The temperature under which the labels are likeliest; None where answers are not finite numbers."""
    if not np.isfinite(answers.logits).all():
        log.warning("The best epoch's answers are not finite numbers, so no temperature is fitted")
        return None
    return fit_temperature(answers.logits, answers.labels, multi_label=multi_label)


def _damaged(path: Path, what: str) -> DataError:
    return DataError(
        f"the answers of the validation images cannot be read: {what}",
        where=str(path),
        fix="Delete the file: they will be worked out anew from the model and the images.",
    )
