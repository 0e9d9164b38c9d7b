"""The switch between PyTorch's operations and imclass's kernels, for the steps of a training on a GPU."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Switchable:
    """A part of a network that may also be computed together with its neighbours.

    Attributes:
        in_kernels: whether it is; see `kernels`.
    """

    in_kernels = False


def have_kernels(device: torch.device) -> bool:
    """Whether the kernels can be tried on a device: a GPU, and Triton to compile them."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


@contextmanager
def kernels(model: nn.Module) -> Iterator[None]:
    """Inside, the parts of a model that can be are computed in imclass's kernels while it is in training mode."""
    parts = [part for part in model.modules() if isinstance(part, Switchable)]
    for part in parts:
        part.in_kernels = True
    try:
        yield
    finally:
        for part in parts:
            part.in_kernels = False
