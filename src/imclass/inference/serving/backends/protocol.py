"""What the server asks of a backend."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.artifact import Description
from imclass.inference.exports.openvino_reader import OpenVINOModel
from imclass.models import ResNet


@dataclass(frozen=True)
class LoadedModel:
    """A model as `artifact.load` gives it, or one that was converted for OpenVINO.

    Attributes:
        description: with what the user said of the model besides.
        network: float32, on the CPU, in evaluation mode; backends copy what they change. None of a converted model.
        converted: the converted model, when it is one.
    """

    description: Description
    network: ResNet | None
    converted: OpenVINOModel | None = None

    def __post_init__(self) -> None:
        assert (self.network is None) != (self.converted is None), "a model has one form"

    @property
    def usual_backend(self) -> str:
        """That which computes what was validated: torch, or what the model was converted for."""
        return "torch" if self.converted is None else "openvino"

    @property
    def usual_precision(self) -> str:
        """That in which the model was validated."""
        return "float32" if self.converted is None else self.converted.precision


class Backend(Protocol):
    """A model that is ready to compute. `concurrency` threads may call it at a time.

    Attributes:
        name: of the kind, as in `BACKENDS`.
        precision: of the convolutions: float32, bfloat16, int8.
        device: where it computes, in words.
        concurrency: batches that it works on at the same time.
    """

    name: str
    precision: str
    device: str
    concurrency: int

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (N, num_classes) float32 of pixels (N, H, W, C) uint8, N at most the `max_batch` asked for."""

    def close(self) -> None:
        """Give back memory; the backend is not used again."""


OpenBackend = Callable[[LoadedModel, torch.device, str, int], Backend]
"""(model, device, precision, max_batch) to a backend that has not computed yet."""


@dataclass(frozen=True)
class BackendKind:
    """A kind of backend.

    Attributes:
        name: as the user types it.
        missing: why it cannot be used here (a package that is not installed), in words, or None.
        precisions: those in which it computes a model well on a device, the most exact first.
        open: makes one.
    """

    name: str
    missing: Callable[[], str | None]
    precisions: Callable[[LoadedModel, torch.device], tuple[str, ...]]
    open: OpenBackend
