"""Which parts of the networks are computed in imclass's kernels."""

import pytest
import torch
from torch import nn

from imclass.models import build
from imclass.models.batch_norm import BatchNorm2d
from imclass.models.convolution import StemConv2d
from imclass.models.kernels import Switchable, have_kernels, kernels


@pytest.mark.parametrize(("network", "plain"), [("resnet_v2", 1), ("resnet_v1", 0)])
def test_all_batch_norms_but_that_of_the_images_take_part(network: str, plain: int) -> None:
    model = build(network, 18, (3, 64, 64), 10)
    with kernels(model):
        norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
        assert len(norms) >= 18
        assert sum(not isinstance(norm, BatchNorm2d) for norm in norms) == plain
        assert all(norm.in_kernels for norm in norms if isinstance(norm, BatchNorm2d))
    assert not any(part.in_kernels for part in model.modules() if isinstance(part, Switchable))


@pytest.mark.parametrize("network", ["resnet_v2", "resnet_v1"])
@pytest.mark.parametrize("side", [28, 64])
def test_the_stem_takes_part(network: str, side: int) -> None:
    model = build(network, 18, (3, side, side), 10)
    with kernels(model):
        assert [part.in_kernels for part in model.modules() if isinstance(part, StemConv2d)] == [True]


def test_there_are_none_on_a_cpu() -> None:
    assert not have_kernels(torch.device("cpu"))
