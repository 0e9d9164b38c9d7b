"""Convolutions, and the normalisation of images before the first one, so that both can be done in one go.

Without more, these are PyTorch's own operations. For the steps of a training on a GPU `kernels` makes them one, and
`rounding` prepares the weights.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from imclass.models.fused import stem as fused
from imclass.models.kernels import Switchable


class Conv2d(nn.Conv2d):
    """PyTorch's convolution, which may multiply with a rounded copy of its weight.

    Attributes:
        rounded_weight: gives the copy, see `rounding`.
    """

    rounded_weight: Callable[[], Tensor] | None = None

    @property
    def effective_weight(self) -> Tensor:
        """What it multiplies with."""
        return self.weight if self.rounded_weight is None else self.rounded_weight()

    def forward(self, input: Tensor) -> Tensor:
        convolved: Tensor = self._conv_forward(input, self.effective_weight, self.bias)
        return convolved


class StemConv2d(Switchable, Conv2d):
    """The convolution of images (see `resnet`): 7x7 with stride 2 in the large stem, 3x3 in the small one.

    Args:
        inputs: channels of the images, 1 or 3.
        outputs: channels of the result.
        large: which of the two.
    """

    def __init__(self, inputs: int, outputs: int, *, large: bool) -> None:
        size, stride, padding = (7, 2, 3) if large else (3, 1, 1)
        super().__init__(inputs, outputs, size, stride, padding, bias=False)
        self.large = large

    def is_fused(self, images: Tensor) -> bool:
        """Whether images are normalised and convolved in imclass's kernels, which give them no gradient."""
        return self.in_kernels and self.training and not images.requires_grad


def normalise_conv(convolution: nn.Module, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """convolution((images - mean) / std), of images (N, C, H, W) of numbers of any type.

    Args:
        mean, std: (1, C, 1, 1), in the images' units.
    """
    if isinstance(convolution, StemConv2d) and convolution.large and convolution.is_fused(images):
        return fused.normalise_conv(images, mean, std, convolution.effective_weight)
    convolved: Tensor = convolution((floating(images) - mean) / std)
    return convolved


def norm_conv(norm: nn.BatchNorm2d, convolution: nn.Module, images: Tensor) -> Tensor:
    """convolution(norm(images)), of images (N, C, H, W) of numbers of any type.

    Args:
        norm: learns no scale.
    """
    several = images.numel() > images.shape[1]  # values of a channel; of a single one there are no statistics
    if isinstance(convolution, StemConv2d) and convolution.is_fused(images) and norm.training and several:
        stride, padding = convolution.stride[0], convolution.padding[0]
        return fused.norm_conv(images, norm, convolution.effective_weight, stride, int(padding))
    convolved: Tensor = convolution(norm(floating(images)))
    return convolved


def floating(images: Tensor) -> Tensor:
    """Images of integers as float32, others as they are."""
    return images if images.is_floating_point() else images.to(torch.float32)
