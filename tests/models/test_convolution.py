"""When the convolution of images is computed in imclass's kernels, and what it is without."""

import pytest
import torch
from torch.nn import functional

from imclass.models.convolution import StemConv2d, normalise_conv
from imclass.models.kernels import kernels

MEAN, STD = torch.full((1, 3, 1, 1), 100.0), torch.full((1, 3, 1, 1), 50.0)


def photographs() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 12, 12), generator=generator, dtype=torch.uint8)
    return images.contiguous(memory_format=torch.channels_last)


def test_only_inside_in_training_and_without_gradient_of_the_images() -> None:
    convolution = StemConv2d(3, 4)
    assert not convolution.is_fused(photographs())
    with kernels(convolution):
        assert convolution.is_fused(photographs())
        assert not convolution.is_fused(photographs().float().requires_grad_())
        assert not convolution.eval().is_fused(photographs())
    assert not convolution.train().is_fused(photographs())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_without_kernels_it_is_pytorchs_of_normalised_images(dtype: torch.dtype) -> None:
    convolution = StemConv2d(3, 4).to(torch.float64 if dtype == torch.float64 else torch.float32)
    images = photographs().to(dtype)
    got = normalise_conv(convolution, images, MEAN.to(convolution.weight.dtype), STD.to(convolution.weight.dtype))
    wanted = functional.conv2d((images.double() - 100) / 50, convolution.weight.double(), stride=2, padding=3)
    assert got.dtype == convolution.weight.dtype
    assert torch.allclose(got.double(), wanted, atol=1e-4)


def test_images_can_have_a_gradient() -> None:
    convolution, images = StemConv2d(3, 4), photographs().float().requires_grad_()
    with kernels(convolution):
        normalise_conv(convolution, images, MEAN, STD).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
