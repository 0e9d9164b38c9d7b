"""Batch norms folded into the convolutions before them, for inference.

A batch norm in evaluation mode scales and shifts each channel by constants. Where its input is the output of a
convolution and nothing else, the convolution's weights take the scale and its bias the shift:

    resnet_v1   all of them
    resnet_v2   those inside a unit and of the stem; the one that opens a unit comes after an addition
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from imclass.models.resnet import BasicUnitV1, BottleneckUnitV1, ResNet, ResNetV1


@torch.no_grad()
def fold_batch_norms(network: ResNet) -> int:
    """Fold what can be folded, in place; results are the same but for rounding.

    Args:
        network: in evaluation mode, in floating point of the exactness that the folding shall have. It can neither be
            trained nor saved afterwards.

    Returns:
        The number of batch norms that are gone.
    """
    assert not network.training, "training needs batch norms"
    pairs = list(_pairs(network))
    for owner, convolution, norm in pairs:
        before, after = owner.get_submodule(convolution), owner.get_submodule(norm)
        assert isinstance(before, nn.Conv2d)
        assert isinstance(after, nn.BatchNorm2d)
        setattr(owner, convolution, fuse_conv_bn_eval(before, after))
        setattr(owner, norm, nn.Identity())
    return len(pairs)


def _pairs(network: ResNet) -> Iterator[tuple[nn.Module, str, str]]:
    """Owner and names of each convolution that a batch norm follows, and of that."""
    if isinstance(network, ResNetV1):
        yield network, "conv1", "bn1"
    elif network.layout.large_stem:
        yield network, "conv0", "bn0"
    for name in network.stage_names:
        for unit in network.get_submodule(name).children():
            yield from _pairs_of_unit(unit)


def _pairs_of_unit(unit: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """In `resnet_v1` bn1 follows conv1, in `resnet_v2` bn2 does."""
    convolutions = [name for name, _ in unit.named_children() if name.startswith("conv")]
    if isinstance(unit, BasicUnitV1 | BottleneckUnitV1):
        yield from ((unit, name, name.replace("conv", "bn")) for name in convolutions)
        if unit.downsample is not None:
            yield unit.downsample, "0", "1"
    else:
        yield from ((unit, f"conv{number}", f"bn{number + 1}") for number in range(1, len(convolutions)))
