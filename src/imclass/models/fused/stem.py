"""Normalisation and convolution of images, in which a GPU loses much time.

The tensor cores have no good kernel for the first convolution of the large stem, so it is made one for which they have.
A 7x7 convolution with stride 2 and padding 3 sees at output o the pixels 2o - 3 to 2o + 3 of each direction. With one
more before them, whose weight is zero, these are four blocks of two. So it is a 4x4 convolution with stride 1 of images
whose 2x2 blocks are one pixel each (`space_to_depth`), with two blocks of zeros before the image as padding:

    pixel            2o-4 2o-3 | 2o-2 2o-1 | 2o 2o+1 | 2o+2 2o+3
    weight              0    0      1    2    3    4      5    6
                     zero
    packed block        o      |    o+1    |   o+2   |    o+3

The images need no gradient. That of the weights comes out of PyTorch's differentiation, of the convolution and of the
rearrangement. Where the images go through a batch norm that learns an offset, PyTorch would compute the gradient of all
of them for those one or three numbers. But a convolution is linear: what an offset adds to a result depends on the
place alone, so the results' gradients are summed over the batch first, and only then go back through the weights:

    d_offset[c] = sum over o, k, l of weight[o, c, k, l] * (sum of dy[:, o] where tap (k, l) lies inside the image)
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from imclass.models.fused.launch import Shape, batch_statistics, channels_last

_BLOCKS = 4  # of two pixels, of a window's side
_BLOCKS_BEFORE = 2  # the image: padding
_PACKED_CHANNELS = 16
_BLOCK_ROWS = 128  # packed pixels of a program


def normalise_conv(images: Tensor, mean: Tensor, std: Tensor, weight: Tensor) -> Tensor:
    """conv2d((images - mean) / std, weight, stride=2, padding=3).

    Args:
        images: (N, C, H, W), numbers of any type, without gradient; C is 1 or 3.
        mean, std: C numbers, float32.
        weight: (O, C, 7, 7).

    Returns:
        (N, O, ceil(H / 2), ceil(W / 2)) of autocast's type, or the weight's without autocast. Images are normalised in
        float32 and rounded to that type.
    """
    device = weight.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    return functional.conv2d(_packed(images, mean, std, dtype), _rearranged(weight))


def norm_conv(images: Tensor, by: nn.BatchNorm2d, weight: Tensor, stride: int, padding: int) -> Tensor:
    """conv2d(by(images), weight, stride=stride, padding=padding) of a training batch; moves the running statistics.

    Args:
        images: (N, C, H, W), numbers of any type, without gradient; C is 1 or 3.
        by: its weight is fixed.
        weight: (O, C, K, K).

    Returns:
        As `normalise_conv`.
    """
    assert not by.weight.requires_grad
    images = channels_last(images)
    _, _, scale, offset = batch_statistics(images, Shape.of(images), by)
    if (weight.shape[2], stride, padding) == (7, 2, 3):
        convolved = normalise_conv(images, -offset / scale, 1 / scale, weight)
    else:
        normalised = images.float() * scale[:, None, None] + offset[:, None, None]
        convolved = functional.conv2d(normalised, weight, stride=stride, padding=padding)
    if not by.bias.requires_grad:
        return convolved
    result: Tensor = _Offset.apply(convolved, by.bias, weight, images.shape[2:], stride, padding)  # type: ignore[no-untyped-call]
    return result


class _Offset(torch.autograd.Function):
    """The gradient of an offset that was added to what has been convolved. Forward it does nothing.

    Args:
        convolved: (N, O, rows, columns).
        offset: (C,).
        weight: (O, C, K, K), constant here.
        sides: height and width of what was convolved.
    """

    @staticmethod
    def forward(
        ctx: Any, convolved: Tensor, offset: Tensor, weight: Tensor, sides: torch.Size, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.geometry = sides, stride, padding
        return convolved.view_as(convolved)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        sides, stride, padding = ctx.geometry
        sums = dy.sum(0, dtype=torch.float32)
        rows, columns = (
            _is_inside(side, results, weight.shape[2], stride, padding, dy.device)
            for side, results in zip(sides, sums.shape[1:], strict=True)
        )
        of_taps = rows @ sums @ columns.T  # (O, K, K)
        d_offset = (weight.float() * of_taps[:, None]).sum((0, 2, 3))
        return dy, d_offset, None, None, None, None


def _is_inside(side: int, results: int, taps: int, stride: int, padding: int, device: torch.device) -> Tensor:
    """(taps, results) float32: 1 where a tap of a result lies inside of an image with this side, 0 where in padding."""
    first = torch.arange(results, device=device) * stride - padding
    place = torch.arange(taps, device=device)[:, None] + first
    return ((place >= 0) & (place < side)).float()


def _packed(images: Tensor, mean: Tensor, std: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, 16, ceil(H / 2) + 3, ceil(W / 2) + 3): normalised images, as the convolution takes them."""
    from imclass.models.fused import space_to_depth as kernels

    images = images.contiguous(memory_format=torch.channels_last)
    count, channels, height, width = images.shape
    sides = [(side + 1) // 2 + _BLOCKS - 1 for side in (height, width)]
    packed = torch.empty(
        (count, _PACKED_CHANNELS, *sides), dtype=dtype, device=images.device, memory_format=torch.channels_last
    )
    rows = count * sides[0] * sides[1]
    kernels.pack[(-(-rows // _BLOCK_ROWS),)](
        images,
        mean,
        std,
        packed,
        height,
        width,
        *sides,
        rows,
        CHANNELS=channels,
        PACKED_CHANNELS=_PACKED_CHANNELS,
        BLOCKS_BEFORE=_BLOCKS_BEFORE,
        BLOCK_ROWS=_BLOCK_ROWS,
    )
    return packed


def _rearranged(weight: Tensor) -> Tensor:
    """(O, 16, 4, 4), channels_last: the weights (O, C, 7, 7) in the order of packed images."""
    outputs, channels = weight.shape[:2]
    windows = functional.pad(weight, (1, 0, 1, 0)).reshape(outputs, channels, _BLOCKS, 2, _BLOCKS, 2)
    # to output, block row, block column, row in the block, column in the block, channel
    pixels = windows.permute(0, 2, 4, 3, 5, 1).reshape(outputs, _BLOCKS, _BLOCKS, 4 * channels)
    return functional.pad(pixels, (0, _PACKED_CHANNELS - 4 * channels)).permute(0, 3, 1, 2)
