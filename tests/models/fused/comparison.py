"""What the tests of fused operations compare, and how."""

import torch
from torch import Tensor, nn


def batch_norm(channels: int, device: torch.device) -> nn.BatchNorm2d:
    generator = torch.Generator().manual_seed(channels)
    norm = nn.BatchNorm2d(channels, eps=2e-5)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(channels, generator=generator))
        norm.bias.copy_(torch.randn(channels, generator=generator))
    return norm.to(device)


def randoms(shape: tuple[int, ...], seed: int, device: torch.device) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)
    return values.contiguous(memory_format=torch.channels_last)


def assert_close(got: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float) -> None:
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        error = torch.linalg.vector_norm(got[name].double() - value.double())
        assert error <= tolerance * torch.linalg.vector_norm(value.double()) + 1e-6, name


def assert_as_near(got: Tensor, theirs: Tensor, exact: Tensor, name: str) -> None:
    """With room for chance. Triton's interpreter cuts numbers off to bfloat16 instead of rounding: twice the error."""
    error, error_of_theirs = ((value.double() - exact).norm() for value in (got, theirs))
    assert error <= (1.5 if got.is_cuda else 3) * error_of_theirs + 1e-4 * exact.norm(), name
