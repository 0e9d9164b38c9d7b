"""Which batch norms are computed in imclass's kernels, and when."""

import pytest
import torch
from torch import nn

from imclass.models.batch_norm import BatchNorm2d, norm_relu
from imclass.models.kernels import kernels


def batch(channels: int = 4) -> torch.Tensor:
    return torch.randn((3, channels, 5, 5), generator=torch.Generator().manual_seed(0))


def test_only_inside_and_in_training() -> None:
    norm = BatchNorm2d(4)
    assert not norm.is_fused(batch())
    with kernels(norm):
        assert norm.is_fused(batch())
        assert not norm.eval().is_fused(batch())
    assert not norm.train().is_fused(batch())


def test_that_ends_with_an_error_too() -> None:
    norm = BatchNorm2d(4)
    with pytest.raises(RuntimeError, match="an error"), kernels(norm):
        raise RuntimeError("an error")
    assert not norm.is_fused(batch())


def test_a_single_value_is_refused_as_pytorch_refuses_it() -> None:
    norm = BatchNorm2d(4)
    with kernels(norm), pytest.raises(ValueError, match="more than 1 value per channel"):
        norm_relu(norm, batch()[:1, :, :1, :1])


def test_a_folded_norm_is_an_identity() -> None:
    x = batch() - 0.5
    assert torch.equal(norm_relu(nn.Identity(), x.clone()), x.clamp(min=0))
