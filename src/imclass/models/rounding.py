"""Weights of convolutions, rounded together to the type that they are multiplied in.

Autocast rounds each weight by itself, and brings each gradient back by itself: two short kernels a convolution and
step. Here it is two for each part of the network, stem or stage. The results are the same.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from imclass.models.convolution import Conv2d


@contextmanager
def rounded_weights(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Inside, a model's convolutions multiply with rounded weights: with those of the first forward pass.

    The weights themselves get their gradients, in their own type: those of a child of the model together, once all of
    it has gone backward. So several processes can exchange them while the other children go backward.
    """
    parts = [[layer for layer in part.modules() if isinstance(layer, Conv2d)] for part in model.children()]
    try:
        for part in filter(None, parts):
            together = _Together([convolution.weight for convolution in part], dtype)
            for number, convolution in enumerate(part):
                convolution.rounded_weight = partial(together.rounded, number)
        yield
    finally:
        for convolution in chain.from_iterable(parts):
            convolution.rounded_weight = None


class _Together:
    """Weights that are rounded when the first of them is asked for.

    Of what is ready to go backward, automatic differentiation takes first what went forward last. Had all weights been
    rounded before the forward pass, their gradients would be brought back after all of the backward pass.
    """

    def __init__(self, weights: Sequence[Tensor], dtype: torch.dtype) -> None:
        self._weights = weights
        self._dtype = dtype
        self._rounded: Sequence[Tensor] = ()

    def rounded(self, number: int) -> Tensor:
        """The rounded copy of one of the weights."""
        if not self._rounded:
            self._rounded = _Rounding.apply(self._dtype, *self._weights)  # type: ignore[no-untyped-call]
        return self._rounded[number]


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
