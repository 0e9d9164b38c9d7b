"""The first convolution of packed images against PyTorch's, of normalised images, in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from imclass.models import build, initialise
from imclass.models.fused import stem as fused
from imclass.models.kernels import kernels

SHAPES = [(2, 3, 24, 32), (3, 3, 9, 14), (2, 3, 14, 9), (2, 1, 13, 7), (1, 3, 1, 1), (2, 1, 2, 3), (5, 3, 31, 33)]


def constants(channels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    mean, std = torch.tensor([120.0, 110.5, 90.25]), torch.tensor([50.0, 60.5, 70.25])
    return mean[:channels].reshape(1, -1, 1, 1).to(device), std[:channels].reshape(1, -1, 1, 1).to(device)


def photographs(shape: tuple[int, ...], device: torch.device) -> Tensor:
    images = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return images.contiguous(memory_format=torch.channels_last).to(device)


def weights(channels: int, device: torch.device) -> Tensor:
    return torch.randn((8, channels, 7, 7), generator=torch.Generator().manual_seed(2)).to(device)


def plain(images: Tensor, mean: Tensor, std: Tensor, weight: Tensor) -> Tensor:
    return functional.conv2d((images - mean) / std, weight, stride=2, padding=3)


def outcome(operation: Callable[[], Tensor], weight: Tensor) -> tuple[Tensor, Tensor]:
    """Result and gradient of the weights."""
    y = operation()
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(3)).to(y))
    assert weight.grad is not None
    return y.detach(), weight.grad


def assert_close(got: Tensor, wanted: Tensor, tolerance: float) -> None:
    assert got.shape == wanted.shape
    error = torch.linalg.vector_norm(got.double() - wanted)
    assert error <= tolerance * torch.linalg.vector_norm(wanted)


def both(
    images: Tensor, autocast: torch.dtype | None, device: torch.device
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """What the fused operation gives, and PyTorch's in float64."""
    mean, std = constants(images.shape[1], device)
    weight = weights(images.shape[1], device).requires_grad_()
    with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
        got = outcome(lambda: fused.normalise_conv(images, mean, std, weight), weight)
    exact = weight.detach().double().requires_grad_()
    wanted = outcome(lambda: plain(images.double(), mean.double(), std.double(), exact), exact)
    return got, wanted


@pytest.fixture(autouse=True)
def full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_float32(shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device) -> None:
    images = photographs(shape, device).to(dtype)
    got, wanted = both(images + 0.25 if dtype.is_floating_point else images, None, device)
    assert got[0].dtype == got[1].dtype == torch.float32
    for mine, theirs in zip(got, wanted, strict=True):
        assert_close(mine, theirs, 1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_autocast_rounds_what_it_rounds_without(
    shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device
) -> None:
    """Normalised images, weights, result and gradient, each once."""
    got, wanted = both(photographs(shape, device).to(dtype), torch.bfloat16, device)
    assert got[0].dtype == torch.bfloat16
    assert got[1].dtype == torch.float32
    for mine, theirs in zip(got, wanted, strict=True):
        assert_close(mine, theirs, 8e-3)


def test_the_result_is_channels_last(device: torch.device) -> None:
    got, _ = both(photographs((2, 3, 20, 18), device), None, device)
    assert got[0].is_contiguous(memory_format=torch.channels_last)


def test_images_of_other_strides_are_taken_too(device: torch.device) -> None:
    images = photographs((2, 3, 20, 18), device)
    mean, std = constants(3, device)
    usual = fused.normalise_conv(images, mean, std, weights(3, device))
    assert torch.equal(usual, fused.normalise_conv(images.contiguous(), mean, std, weights(3, device)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])  # the interpreter cuts bfloat16 off
def test_normalised_images_have_the_bits_of_pytorchs(dtype: torch.dtype, device: torch.device) -> None:
    images = photographs((2, 3, 32, 32), device)
    mean, std = constants(3, device)
    packed = fused._packed(images, mean, std, dtype)[:, :12, 2:-1, 2:-1]
    normalised = ((images - mean) / std).to(dtype)
    for pixel in range(4):
        row, column = divmod(pixel, 2)
        assert torch.equal(packed[:, 3 * pixel : 3 * pixel + 3], normalised[:, :, row::2, column::2])


def test_blocks_become_channels_with_zeros_around_the_image(device: torch.device) -> None:
    """Black pixels are no zeros once they are normalised; what lies around the image is."""
    images = torch.arange(2 * 3 * 3, dtype=torch.uint8, device=device).reshape(2, 1, 3, 3)
    packed = fused._packed(images, images.new_tensor([1.0]).float(), images.new_tensor([2.0]).float(), torch.float32)
    assert packed.shape == (2, 16, 5, 5)
    second = (packed[1] * 2 + 1).round().int()
    assert second[:4, 2, 2].tolist() == [9, 10, 12, 13]
    assert second[:4, 2, 3].tolist() == [11, 1, 14, 1]  # right of the image: (1 - 1) / 2 = 0
    assert second[:4, 3, 3].tolist() == [17, 1, 1, 1]
    rest = packed.clone()
    rest[:, :4, 2:4, 2:4] = 0
    assert not rest.any()
    assert float(packed[0, 0, 2, 2]) == -0.5


@pytest.fixture
def no_kinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks with a smooth activation and an average in place of relu and the largest of a window.

    Of a million values a few are so near to a kink that rounding alone moves them across it. One that crosses changes
    gradients by up to a hundredth of their size in float32, on a CPU too, which hides what is to be compared. Without
    kinks the difference grows with the rounding errors: weights changed by 3e-6 of their size change it by 8e-5.
    """
    monkeypatch.setattr(functional, "relu", functional.silu)
    monkeypatch.setattr(nn.MaxPool2d, "forward", averaged)


def averaged(pool: nn.MaxPool2d, x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, pool.kernel_size, pool.stride, pool.padding)


@pytest.mark.usefixtures("no_kinks")
def test_a_network_learns_the_same_with_it(device: torch.device) -> None:
    differences = differences_with_it("resnet_v1", 18, 65, "conv1", device)
    assert {name: found for name, found in differences.items() if not found <= 1e-3} == {}


def differences_with_it(network: str, num_layers: int, side: int, stem: str, device: torch.device) -> dict[str, float]:
    """By how much, relative to its size, each gradient of a network changes with the fused convolution."""
    model = build(network, num_layers, (3, side, side), 5)
    initialise(model, torch.Generator().manual_seed(1))
    model = model.to(device)
    images = photographs((4, 3, side, side), device)
    usual = gradients(model, images)
    with kernels(model.get_submodule(stem)):
        packed = gradients(model, images)
    assert packed.keys() == usual.keys()
    norm = torch.linalg.vector_norm
    return {name: float(norm(packed[name] - gradient) / norm(gradient)) for name, gradient in usual.items()}


def gradients(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    functional.cross_entropy(model(images), torch.arange(len(images), device=images.device)).backward()
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


# ---------------------------------------------------------------------------------- behind a norm that learns an offset

LARGE, SMALL = (7, 2, 3), (3, 1, 1)  # size of the window, stride, padding


def data_norm(channels: int, device: torch.device) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, eps=2e-5)
    norm.weight.requires_grad_(False)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([0.5, -1.25, 2.0])[:channels])
    return norm.to(device)


def behind_norm(
    images: Tensor, window: tuple[int, int, int], autocast: torch.dtype | None, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Results, gradients and statistics of the fused operation, and of PyTorch's in float64."""
    channels, (size, stride, padding) = images.shape[1], window
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn((8, channels, size, size), generator=generator).to(device).requires_grad_()
    exact = weight.detach().double().requires_grad_()
    norm, norm_of_exact = data_norm(channels, device), data_norm(channels, device).double()
    with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
        got = outcome(lambda: fused.norm_conv(images, norm, weight, stride, padding), weight)

    def step_by_step() -> Tensor:
        return functional.conv2d(norm_of_exact(images.double()), exact, stride=stride, padding=padding)

    wanted = outcome(step_by_step, exact)
    found: list[dict[str, Tensor]] = []
    for (y, d_weight), by in ((got, norm), (wanted, norm_of_exact)):
        assert by.bias.grad is not None
        assert by.running_mean is not None
        assert by.running_var is not None
        of_norm = {"offset": by.bias.grad, "mean": by.running_mean, "variance": by.running_var}
        found.append({"y": y, "weight": d_weight} | of_norm)
    return found[0], found[1]


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[2:] != (1, 1)])
@pytest.mark.parametrize("window", [LARGE, SMALL], ids=str)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_behind_a_norm(
    shape: tuple[int, int, int, int], window: tuple[int, int, int], dtype: torch.dtype, device: torch.device
) -> None:
    got, wanted = behind_norm(photographs(shape, device).to(dtype), window, None, device)
    for name, value in wanted.items():
        assert_close(got[name], value, 1e-4)


@pytest.mark.parametrize("window", [LARGE, SMALL], ids=str)
def test_behind_a_norm_in_autocast(window: tuple[int, int, int], device: torch.device) -> None:
    got, wanted = behind_norm(photographs((3, 3, 14, 17), device), window, torch.bfloat16, device)
    assert got["y"].dtype == torch.bfloat16
    assert got["offset"].dtype == torch.float32
    for name, value in wanted.items():
        assert_close(got[name], value, 2e-2)


def test_an_offset_that_is_frozen_gets_no_gradient(device: torch.device) -> None:
    norm, weight = data_norm(3, device), weights(3, device).requires_grad_()
    norm.bias.requires_grad_(False)
    fused.norm_conv(photographs((2, 3, 8, 8), device), norm, weight, 2, 3).sum().backward()
    assert norm.bias.grad is None
    assert weight.grad is not None


@pytest.mark.usefixtures("no_kinks")
@pytest.mark.parametrize(("num_layers", "side"), [(20, 12), (18, 65)])
def test_a_pre_activation_network_learns_the_same_with_it(num_layers: int, side: int, device: torch.device) -> None:
    differences = differences_with_it("resnet_v2", num_layers, side, "conv0", device)
    assert "bn_data.bias" in differences
    assert {name: found for name, found in differences.items() if not found <= 1e-3} == {}
