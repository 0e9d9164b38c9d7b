"""Batch norm with addition, activation and pooling around it, as operations of PyTorch's automatic differentiation.

PyTorch takes a pass over memory for each of them, and two for a batch norm, which is slower than the convolutions
between them. Here each operation reads its input twice forward and twice backward, which is the least: once for sums
over the batch, once for what depends on them. Nothing is kept for the backward pass but the input, what normalised it,
and the result where an addition hides from the input what the activation has let through.

Where a network branches, an operation returns both branches, so that both gradients come back to it apart. A kernel
that reads the two adds them as it goes, where automatic differentiation takes a pass that reads two arrays and writes
one.
"""

from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from imclass.models.fused.launch import (
    Shape,
    activated,
    batch_statistics,
    channels_last,
    input_gradients,
    parameter_gradients,
    room_for_sums,
    summed_gradients,
)


class _Branch(Enum):
    """Where an operation's input or result goes two ways."""

    NOWHERE = 0
    BEFORE = 1
    AFTER = 2


def norm(x: Tensor, by: nn.BatchNorm2d) -> Tensor:
    """Batch norm of a training batch (N, C, H, W); moves the running statistics of `by`."""
    result: Tensor = _norm(x, None, by, relu=False)
    return result


def norm_relu(x: Tensor, by: nn.BatchNorm2d) -> Tensor:
    """`norm`, then max(0, .)."""
    result: Tensor = _norm(x, None, by)
    return result


def norm_relu_branch_before(x: Tensor, by: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """`norm_relu`, and x for what goes past it."""
    branches: tuple[Tensor, Tensor] = _norm(x, None, by, branch=_Branch.BEFORE)
    return branches


def norm_relu_branch_after(x: Tensor, by: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """`norm_relu`, once for each of the two ways that it goes from here."""
    branches: tuple[Tensor, Tensor] = _norm(x, None, by, branch=_Branch.AFTER)
    return branches


def norm_add_relu_branch_after(x: Tensor, shortcut: Tensor, by: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """`norm`, then + shortcut (N, C, H, W), then max(0, .), once for each of the two ways that it goes from here."""
    branches: tuple[Tensor, Tensor] = _norm(x, shortcut, by, branch=_Branch.AFTER)
    return branches


def norms_add_relu_branch_after(
    x: Tensor, shortcut: Tensor, by: nn.BatchNorm2d, by_of_shortcut: nn.BatchNorm2d
) -> tuple[Tensor, Tensor]:
    """`norm_add_relu_branch_after` of a shortcut that goes through a norm of its own; of the same shape and type."""
    branches: tuple[Tensor, Tensor] = _TwoNorms.apply(  # type: ignore[no-untyped-call]
        x, shortcut, by, by_of_shortcut, by.weight, by.bias, by_of_shortcut.weight, by_of_shortcut.bias
    )
    return branches


def norm_relu_pool(x: Tensor, by: nn.BatchNorm2d) -> Tensor:
    """`norm_relu`, then the maxima of 3x3 pixels, every 2 pixels, from 1 before the image to 1 behind it."""
    pooled: Tensor = _NormPool.apply(x, by, by.weight, by.bias)  # type: ignore[no-untyped-call]
    return pooled


def _norm(
    x: Tensor, shortcut: Tensor | None, by: nn.BatchNorm2d, *, relu: bool = True, branch: _Branch = _Branch.NOWHERE
) -> Any:
    return _Norm.apply(x, shortcut, by, relu, branch, by.weight, by.bias)  # type: ignore[no-untyped-call]


class _Norm(torch.autograd.Function):
    """Norm, and then perhaps an addition and an activation; perhaps with a branch before or after that."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        shortcut: Tensor | None,
        by: nn.BatchNorm2d,
        relu: bool,
        branch: _Branch,
        weight: Tensor,
        bias: Tensor,
    ) -> Tensor | tuple[Tensor, Tensor]:
        x = channels_last(x)
        shape = Shape.of(x)
        found = batch_statistics(x, shape, by)
        added = None if shortcut is None else channels_last(shortcut.to(x.dtype))
        y = activated(x, found, shape, relu=relu, added=added)
        ctx.set_materialize_grads(False)  # a branch that nothing learns from costs nothing
        ctx.adds, ctx.relu, ctx.branch = shortcut is not None, relu, branch
        ctx.shortcut_dtype = None if shortcut is None else shortcut.dtype
        ctx.save_for_backward(x, found, *([y] if ctx.adds else []))
        if branch is _Branch.NOWHERE:
            return y
        return y, (x if branch is _Branch.BEFORE else y).detach()  # apart, so that each has its own gradient

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, other: Tensor | None = None) -> tuple[Tensor | None, ...]:
        other = None if other is None else channels_last(other)
        past, other_dy = (other, None) if ctx.branch is _Branch.BEFORE else (None, other)
        ways = [channels_last(way) for way in (dy, other_dy) if way is not None]
        if not ways:
            return past, *[None] * 6

        x, found, *rest = ctx.saved_tensors
        shape = Shape.of(x)
        dz, sums, _ = summed_gradients(ways, x, found, shape, relu=ctx.relu, result=rest[0] if ctx.adds else None)
        d_weight, d_bias, factors = parameter_gradients(sums, found, shape)
        if dz is None:
            dx, _ = input_gradients(ways, x, found, factors, shape, relu=ctx.relu, past=past)
            return dx, None, None, None, None, d_weight, d_bias
        dx, _ = input_gradients([dz], x, found, factors, shape, relu=False)
        return dx, dz.to(ctx.shortcut_dtype), None, None, None, d_weight, d_bias


class _TwoNorms(torch.autograd.Function):
    """Two norms, the sum of their results and an activation, with a branch after that.

    Neither normalised array is ever written, and the gradient of the sum is read once for both.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, shortcut: Tensor, by: nn.BatchNorm2d, by_of_shortcut: nn.BatchNorm2d, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        assert x.shape == shortcut.shape
        assert x.dtype == shortcut.dtype
        x, shortcut = channels_last(x), channels_last(shortcut)
        shape = Shape.of(x)
        found = batch_statistics(x, shape, by)
        found_of_shortcut = batch_statistics(shortcut, shape, by_of_shortcut)
        y = activated(x, found, shape, relu=True, added=shortcut, found_of_added=found_of_shortcut)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, shortcut, found, found_of_shortcut)
        return y, y.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, other_dy: Tensor | None) -> tuple[Tensor | None, ...]:
        ways = [channels_last(way) for way in (dy, other_dy) if way is not None]
        if not ways:
            return (None,) * 8
        x, shortcut, found, found_of_shortcut = ctx.saved_tensors
        shape = Shape.of(x)
        dz, sums, sums_of_shortcut = summed_gradients(
            ways, x, found, shape, relu=True, added=shortcut, found_of_added=found_of_shortcut
        )
        assert dz is not None
        *of_parameters, factors = parameter_gradients(sums, found, shape)
        *of_others, factors_of_shortcut = parameter_gradients(sums_of_shortcut, found_of_shortcut, shape)
        dx, d_shortcut = input_gradients(
            [dz], x, found, factors, shape, relu=False, added=shortcut, factors_of_added=factors_of_shortcut
        )
        return dx, d_shortcut, None, None, *of_parameters, *of_others


class _NormPool(torch.autograd.Function):
    """Norm, activation and pooling."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, by: nn.BatchNorm2d, weight: Tensor, bias: Tensor) -> Tensor:
        from imclass.models.fused import forward as kernels

        x = channels_last(x)
        found = batch_statistics(x, Shape.of(x), by)
        images, channels, height, width = x.shape
        size = (images, channels, (height - 1) // 2 + 1, (width - 1) // 2 + 1)
        y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        winners = torch.empty_like(y, dtype=torch.uint8)
        shape = Shape.of(y)
        kernels.pool[shape.grid](x, found, y, winners, height, width, *size[2:], shape.rows, channels, **shape.blocks())
        ctx.save_for_backward(x, found, winners)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        from imclass.models.fused import backward as kernels

        x, found, winners = ctx.saved_tensors
        shape = Shape.of(x)
        dy = channels_last(dy)
        sides = (*x.shape[2:], *dy.shape[2:])
        sums = room_for_sums(x, shape)
        kernels.pool_gradients[shape.programs, shape.channel_blocks](
            dy, winners, x, found, sums, *sides, shape.rows, shape.channels, shape.rows_a_program, **shape.blocks()
        )
        d_weight, d_bias, factors = parameter_gradients(sums, found, shape)
        dx = torch.empty_like(x)
        kernels.pool_input[shape.grid](
            dy, winners, x, found, factors, dx, *sides, shape.rows, shape.channels, **shape.blocks()
        )
        return dx, None, d_weight, d_bias
