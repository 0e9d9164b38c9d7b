"""How the kernels are launched: what is divided among how many programs, and the steps that every batch norm takes.

The functions here are for arrays (N, C, H, W) whose memory is (N, H, W, C): rows of channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_BLOCK_CHANNELS = 64  # of a program at most: in 16 bits one line of the cache
# The fastest of those tried on an H200: elements of a block, of a program that goes over it once and of one that adds
# up many, whose sums stay in registers; and programs that add up, for each processor of the GPU.
_BLOCK_ELEMENTS = 2048
_SUMMED_ELEMENTS = 1024
_PROGRAMS_A_PROCESSOR = 8
_BLOCK_PROGRAMS = 128  # whose sums are added up together
_FINAL_CHANNELS = 16


@dataclass(frozen=True)
class Shape:
    """How an array (rows, channels) is divided among programs."""

    rows: int
    channels: int
    processors: int

    @classmethod
    def of(cls, x: Tensor) -> "Shape":
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


def batch_statistics(x: Tensor, shape: Shape, by: nn.BatchNorm2d) -> Tensor:
    """(4, C) float32: mean, 1 / standard deviation, scale and offset of the batch; moves the running statistics."""
    from imclass.models.fused import forward as kernels

    assert by.momentum is not None, "the networks' batch norms have a momentum"
    sums = room_for_sums(x, shape)
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


def activated(
    x: Tensor,
    found: Tensor,
    shape: Shape,
    *,
    relu: bool,
    added: Tensor | None = None,
    found_of_added: Tensor | None = None,
) -> Tensor:
    """x normalised, + what is added, if anything, and that normalised too if something was found for it; activated."""
    from imclass.models.fused import forward as kernels

    y = torch.empty_like(x)
    kernels.activate[shape.grid](
        x,
        x if added is None else added,
        found,
        found if found_of_added is None else found_of_added,
        y,
        shape.rows,
        shape.channels,
        ADDS=added is not None,
        NORMS=found_of_added is not None,
        RELU=relu,
        **shape.blocks(),
    )
    return y


def summed_gradients(
    ways: Sequence[Tensor],
    x: Tensor,
    found: Tensor,
    shape: Shape,
    *,
    relu: bool,
    result: Tensor | None = None,
    added: Tensor | None = None,
    found_of_added: Tensor | None = None,
) -> tuple[Tensor | None, Tensor, Tensor]:
    """The first pass of the way back through `activated`.

    Args:
        ways: the gradients of its result that come back, one or two.
        result: of `activated`, where something was added as it is.
        added, found_of_added: where it was normalised.

    Returns:
        The gradient before the activation where something was added, else None; the sums for `parameter_gradients`,
        and those of the other norm, if there is one.
    """
    from imclass.models.fused import backward as kernels

    norms, adds = found_of_added is not None, added is not None or result is not None
    dz = torch.empty_like(x) if adds else None
    sums = room_for_sums(x, shape)
    sums_of_added = room_for_sums(x, shape) if norms else sums
    kernels.gradients[shape.programs, shape.channel_blocks](
        ways[0],
        ways[-1],
        x if result is None else result,
        x,
        x if added is None else added,
        found,
        found if found_of_added is None else found_of_added,
        x if dz is None else dz,
        sums,
        sums_of_added,
        shape.rows,
        shape.channels,
        shape.rows_a_program,
        TWO_WAYS=len(ways) == 2,
        ADDS=adds,
        NORMS=norms,
        RELU=relu,
        **shape.blocks(_SUMMED_ELEMENTS),
    )
    return dz, sums, sums_of_added


def input_gradients(
    ways: Sequence[Tensor],
    x: Tensor,
    found: Tensor,
    factors: Tensor,
    shape: Shape,
    *,
    relu: bool,
    past: Tensor | None = None,
    added: Tensor | None = None,
    factors_of_added: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The second pass: the gradients of x and, if it was normalised too, of what was added.

    Args:
        ways: gradients of the activation's result if `relu`, else of what it was given; one or two.
        factors, factors_of_added: of `parameter_gradients`.
        past: a gradient that comes back to x past all of this.
    """
    from imclass.models.fused import backward as kernels

    dx = torch.empty_like(x)
    d_added = None if factors_of_added is None else torch.empty_like(x)
    kernels.of_input[shape.grid](
        ways[0],
        ways[-1],
        x,
        x if added is None else added,
        found,
        factors,
        factors if factors_of_added is None else factors_of_added,
        x if past is None else past,
        dx,
        dx if d_added is None else d_added,
        shape.rows,
        shape.channels,
        TWO_WAYS=len(ways) == 2,
        RELU=relu,
        NORMS=d_added is not None,
        PAST=past is not None,
        **shape.blocks(),
    )
    return dx, d_added


def parameter_gradients(sums: Tensor, found: Tensor, shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients (C,) of weight and bias, and (3, C) what gives the gradient of the input; all float32."""
    from imclass.models.fused import backward as kernels

    d_weight, d_bias = torch.empty_like(found[0]), torch.empty_like(found[0])
    factors = torch.empty_like(found[:3])
    kernels.of_gradients[shape.final_grid](
        sums, found, d_weight, d_bias, factors, shape.programs, shape.rows, shape.channels, **_FINAL
    )
    return d_weight, d_bias, factors


def room_for_sums(x: Tensor, shape: Shape) -> Tensor:
    """Where each program puts its two sums of each channel: (2, programs, C) float32."""
    return torch.empty((2, shape.programs, shape.channels), dtype=torch.float32, device=x.device)


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
