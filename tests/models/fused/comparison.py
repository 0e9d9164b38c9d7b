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
