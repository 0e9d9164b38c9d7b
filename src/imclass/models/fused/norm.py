"""Batch norm with addition, activation and pooling around it, as operations of PyTorch's automatic differentiation.

PyTorch takes a pass over memory for each of them, and two for a batch norm, which is slower than the convolutions
between them. Here each operation reads its input twice forward and twice backward, which is the least: once for sums
over the batch, once for what depends on them. Nothing is kept for the backward pass but the input, what normalised it,
and the result where an addition hides from the input what the activation has let through.

Where a network branches, an operation returns both branches, so that both gradients come back to it apart. A kernel
that reads the two adds them as it goes, where automatic differentiation takes a pass that reads two arrays and writes
one.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_BLOCK_CHANNELS = 64  # of a program at most: in 16 bits one line of the cache
# The fastest of those tried on an H200: elements of a block, of a program that goes over it once and of one that adds
# up many, whose sums stay in registers; and programs that add up, for each processor of the GPU.
_BLOCK_ELEMENTS = 2048
_SUMMED_ELEMENTS = 1024
_PROGRAMS_A_PROCESSOR = 8
_BLOCK_PROGRAMS = 128  # whose sums are added up together
_FINAL_CHANNELS = 16


@dataclass(frozen=True)
class _Shape:
    """How an array (rows, channels) is divided among programs."""

    rows: int
    channels: int
    processors: int

    @classmethod
    def of(cls, x: Tensor) -> "_Shape":
        processors = torch.cuda.get_device_properties(x.device).multi_processor_count if x.is_cuda else 1
        return cls(x.numel() // x.shape[1], x.shape[1], processors)

    @property
    def block_channels(self) -> int:
        return min(_BLOCK_CHANNELS, 1 << (self.channels - 1).bit_length())

    @property
    def channel_blocks(self) -> int:
        return -(-self.channels // self.block_channels)

    def blocks(self, elements: int = _BLOCK_ELEMENTS) -> dict[str, int]:
        return {"BLOCK_ROWS": elements // self.block_channels, "BLOCK_CHANNELS": self.block_channels}

    @property
    def grid(self) -> tuple[int, int]:
        """Programs of a kernel that goes over everything once."""
        return -(-self.rows // self.blocks()["BLOCK_ROWS"]), self.channel_blocks

    @property
    def rows_a_program(self) -> int:
        """Rows that a program adds up, a multiple of its block."""
        block = self.blocks(_SUMMED_ELEMENTS)["BLOCK_ROWS"]
        programs = max(1, self.processors * _PROGRAMS_A_PROCESSOR // self.channel_blocks)
        return block * -(-self.rows // (programs * block))

    @property
    def programs(self) -> int:
        """Programs that add up the rows of a block of channels."""
        return -(-self.rows // self.rows_a_program)

    @property
    def final_grid(self) -> tuple[int]:
        return (-(-self.channels // _FINAL_CHANNELS),)


_FINAL = {"BLOCK_PROGRAMS": _BLOCK_PROGRAMS, "BLOCK_CHANNELS": _FINAL_CHANNELS}


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
        from imclass.models.fused import forward as kernels

        x = _channels_last(x)
        shape = _Shape.of(x)
        found = _found(x, shape, by)
        y = torch.empty_like(x)
        added = x if shortcut is None else _channels_last(shortcut.to(x.dtype))
        kernels.activate[shape.grid](
            x, added, found, y, shape.rows, shape.channels, ADDS=shortcut is not None, RELU=relu, **shape.blocks()
        )
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
        from imclass.models.fused import backward as kernels

        other = None if other is None else _channels_last(other)
        past, other_dy = (other, None) if ctx.branch is _Branch.BEFORE else (None, other)
        ways = [_channels_last(way) for way in (dy, other_dy) if way is not None]
        if not ways:
            return past, *[None] * 6

        x, found, *rest = ctx.saved_tensors
        shape = _Shape.of(x)
        dz = torch.empty_like(x) if ctx.adds else x
        y = rest[0] if ctx.adds else x
        sums = _sums(x, shape)
        kernels.gradients[shape.programs, shape.channel_blocks](
            ways[0],
            ways[-1],
            y,
            x,
            found,
            dz,
            sums,
            shape.rows,
            shape.channels,
            shape.rows_a_program,
            TWO_WAYS=len(ways) == 2,
            ADDS=ctx.adds,
            RELU=ctx.relu,
            **shape.blocks(_SUMMED_ELEMENTS),
        )
        d_weight, d_bias, factors = _of_gradients(sums, found, shape)
        if ctx.adds:
            ways = [dz]  # their sum, with zeros where the activation is zero
        dx = torch.empty_like(x)
        kernels.of_input[shape.grid](
            ways[0],
            ways[-1],
            x,
            found,
            factors,
            x if past is None else past,
            dx,
            shape.rows,
            shape.channels,
            TWO_WAYS=len(ways) == 2,
            RELU=ctx.relu and not ctx.adds,
            PAST=past is not None,
            **shape.blocks(),
        )
        d_shortcut = dz.to(ctx.shortcut_dtype) if ctx.adds else None
        return dx, d_shortcut, None, None, None, d_weight, d_bias


class _NormPool(torch.autograd.Function):
    """Norm, activation and pooling."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, by: nn.BatchNorm2d, weight: Tensor, bias: Tensor) -> Tensor:
        from imclass.models.fused import forward as kernels

        x = _channels_last(x)
        found = _found(x, _Shape.of(x), by)
        images, channels, height, width = x.shape
        size = (images, channels, (height - 1) // 2 + 1, (width - 1) // 2 + 1)
        y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        winners = torch.empty_like(y, dtype=torch.uint8)
        shape = _Shape.of(y)
        kernels.pool[shape.grid](x, found, y, winners, height, width, *size[2:], shape.rows, channels, **shape.blocks())
        ctx.save_for_backward(x, found, winners)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        from imclass.models.fused import backward as kernels

        x, found, winners = ctx.saved_tensors
        shape = _Shape.of(x)
        dy = _channels_last(dy)
        sides = (*x.shape[2:], *dy.shape[2:])
        sums = _sums(x, shape)
        kernels.pool_gradients[shape.programs, shape.channel_blocks](
            dy, winners, x, found, sums, *sides, shape.rows, shape.channels, shape.rows_a_program, **shape.blocks()
        )
        d_weight, d_bias, factors = _of_gradients(sums, found, shape)
        dx = torch.empty_like(x)
        kernels.pool_input[shape.grid](
            dy, winners, x, found, factors, dx, *sides, shape.rows, shape.channels, **shape.blocks()
        )
        return dx, None, d_weight, d_bias


def _found(x: Tensor, shape: _Shape, by: nn.BatchNorm2d) -> Tensor:
    """(4, C) float32: mean, 1 / standard deviation, scale and offset of the batch; moves the running statistics."""
    from imclass.models.fused import forward as kernels

    assert by.momentum is not None, "the networks' batch norms have a momentum"
    sums = _sums(x, shape)
    kernels.statistics[shape.programs, shape.channel_blocks](
        x, sums, shape.rows, shape.channels, shape.rows_a_program, num_warps=8, **shape.blocks(_SUMMED_ELEMENTS)
    )
    found = torch.empty((4, shape.channels), dtype=torch.float32, device=x.device)
    kernels.of_batch[shape.final_grid](
        x,
        sums,
        by.weight,
        by.bias,
        by.running_mean,
        by.running_var,
        by.num_batches_tracked,
        found,
        shape.programs,
        shape.rows,
        shape.channels,
        by.eps,
        by.momentum,
        **_FINAL,
    )
    return found


def _of_gradients(sums: Tensor, found: Tensor, shape: _Shape) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients (C,) of weight and bias, and (3, C) what gives the gradient of the input; all float32."""
    from imclass.models.fused import backward as kernels

    d_weight, d_bias = torch.empty_like(found[0]), torch.empty_like(found[0])
    factors = torch.empty_like(found[:3])
    kernels.of_gradients[shape.final_grid](
        sums, found, d_weight, d_bias, factors, shape.programs, shape.rows, shape.channels, **_FINAL
    )
    return d_weight, d_bias, factors


def _sums(x: Tensor, shape: _Shape) -> Tensor:
    return torch.empty((2, shape.programs, shape.channels), dtype=torch.float32, device=x.device)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
