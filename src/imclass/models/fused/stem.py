"""The first convolution of the large stem, for which the tensor cores have no good kernel, as one for which they have.

A 7x7 convolution with stride 2 and padding 3 sees at output o the pixels 2o - 3 to 2o + 3 of each direction. With one
more before them, whose weight is zero, these are four blocks of two. So it is a 4x4 convolution with stride 1 of images
whose 2x2 blocks are one pixel each (`space_to_depth`), with two blocks of zeros before the image as padding:

    pixel            2o-4 2o-3 | 2o-2 2o-1 | 2o 2o+1 | 2o+2 2o+3
    weight              0    0      1    2    3    4      5    6
                     zero
    packed block        o      |    o+1    |   o+2   |    o+3

The images need no gradient. That of the weights comes out of PyTorch's differentiation, of the convolution and of the
rearrangement.
"""

import torch
from torch import Tensor
from torch.nn import functional

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
