"""Weights of convolutions, rounded together to the type that they are multiplied in.

Autocast rounds each weight by itself, and brings each gradient back by itself: two short kernels a convolution and
step. Here it is two for each part of the network, stem or stage. The results are the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from imclass.models.convolution import Conv2d


@contextmanager
def rounded_weights(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Inside, a model's convolutions multiply with their weights of now, rounded.

    The weights themselves get their gradients, in their own type: those of a child of the model together, once all of
    it has gone backward. So several processes can exchange them while the other children go backward.
    """
    parts = [[layer for layer in part.modules() if isinstance(layer, Conv2d)] for part in model.children()]
    convolutions = [convolution for part in parts for convolution in part]
    try:
        for part in filter(None, parts):
            rounded = _Rounding.apply(dtype, *(convolution.weight for convolution in part))  # type: ignore[no-untyped-call]
            for convolution, weight in zip(part, rounded, strict=True):
                convolution.rounded_weight = weight
        yield
    finally:
        for convolution in convolutions:
            convolution.rounded_weight = None


class _Rounding(torch.autograd.Function):
    """Tensors of one type as others of another."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.dtype = weights[0].dtype
        return _converted(weights, dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_converted(gradients, ctx.dtype)


def _converted(tensors: tuple[Tensor, ...], dtype: torch.dtype) -> tuple[Tensor, ...]:
    converted = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    torch._foreach_copy_(converted, tensors)
    return tuple(converted)
