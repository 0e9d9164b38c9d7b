"""When the convolution of images is computed in imclass's kernels, and what it is without."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from imclass.models.convolution import StemConv2d, norm_conv, normalise_conv
from imclass.models.kernels import kernels

MEAN, STD = torch.full((1, 3, 1, 1), 100.0), torch.full((1, 3, 1, 1), 50.0)


def photographs() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 12, 12), generator=generator, dtype=torch.uint8)
    return images.contiguous(memory_format=torch.channels_last)


def test_only_inside_in_training_and_without_gradient_of_the_images() -> None:
    convolution = StemConv2d(3, 4, large=True)
    assert not convolution.is_fused(photographs())
    with kernels(convolution):
        assert convolution.is_fused(photographs())
        assert not convolution.is_fused(photographs().float().requires_grad_())
        assert not convolution.eval().is_fused(photographs())
    assert not convolution.train().is_fused(photographs())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_without_kernels_it_is_pytorchs_of_normalised_images(dtype: torch.dtype) -> None:
    convolution = StemConv2d(3, 4, large=True).to(torch.float64 if dtype == torch.float64 else torch.float32)
    images = photographs().to(dtype)
    got = normalise_conv(convolution, images, MEAN.to(convolution.weight.dtype), STD.to(convolution.weight.dtype))
    wanted = functional.conv2d((images.double() - 100) / 50, convolution.weight.double(), stride=2, padding=3)
    assert got.dtype == convolution.weight.dtype
    assert torch.allclose(got.double(), wanted, atol=1e-4)


def test_images_can_have_a_gradient() -> None:
    convolution, images = StemConv2d(3, 4, large=True), photographs().float().requires_grad_()
    with kernels(convolution):
        normalise_conv(convolution, images, MEAN, STD).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize("large", [True, False])
def test_behind_a_norm_without_kernels_it_is_pytorchs(large: bool) -> None:
    convolution, norm, same = StemConv2d(3, 4, large=large), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    got = norm_conv(norm, convolution, photographs())
    assert torch.equal(got, convolution(same(photographs().float())))
    assert torch.equal(norm.running_var, same.running_var)


@pytest.mark.parametrize(("norm_learns", "images"), [(False, (2, 3, 12, 12)), (True, (1, 3, 1, 1))])
def test_a_norm_without_statistics_of_the_batch_is_left_to_pytorch(norm_learns: bool, images: tuple[int, ...]) -> None:
    """In evaluation mode it has none, and of a single value it refuses to make them."""
    convolution, norm = StemConv2d(3, 4, large=True), nn.BatchNorm2d(3).train(norm_learns)
    with kernels(convolution):
        if norm_learns:
            with pytest.raises(ValueError, match="more than 1 value per channel"):
                norm_conv(norm, convolution, torch.zeros(images))
        else:
            assert torch.equal(norm_conv(norm, convolution, torch.ones(images)), convolution(norm(torch.ones(images))))
