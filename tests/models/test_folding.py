"""Folded networks against those that they come from."""

import copy

import pytest
import torch
from torch import nn

from imclass.models import build, initialise
from imclass.models.folding import fold_batch_norms


def worn_network(family: str, num_layers: int, side: int) -> nn.Module:
    """A network whose batch norms have scales, shifts and statistics that are not those of a fresh one."""
    network = build(family, num_layers, (3, side, side), 5)
    generator = torch.Generator().manual_seed(3)
    initialise(network, generator)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor, low, high in (
                (layer.weight, 0.5, 1.5),
                (layer.bias, -0.5, 0.5),
                (layer.running_mean, -0.5, 0.5),
                (layer.running_var, 0.5, 2.0),
            ):
                tensor.data.uniform_(low, high, generator=generator)
    return network.eval()


@pytest.mark.parametrize(
    ("family", "num_layers", "side", "left"),
    [
        ("resnet_v1", 18, 40, 0),
        ("resnet_v1", 50, 40, 0),
        ("resnet_v1", 8, 16, 0),
        ("resnet_v2", 18, 40, 1 + 8 + 1),  # of the images, one a unit, the last one
        ("resnet_v2", 50, 40, 1 + 16 + 1),
        ("resnet_v2", 8, 16, 1 + 3 + 1),
    ],
)
@torch.no_grad()
def test_answers_stay(family: str, num_layers: int, side: int, left: int) -> None:
    network = worn_network(family, num_layers, side).double()
    folded = copy.deepcopy(network)
    gone = fold_batch_norms(folded)
    norms = [sum(isinstance(layer, nn.BatchNorm2d) for layer in each.modules()) for each in (network, folded)]
    assert norms[1] == left
    assert gone == norms[0] - left
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)).double() * 255
    torch.testing.assert_close(folded(images), network(images), rtol=1e-9, atol=1e-9)


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(AssertionError, match="needs batch norms"):
        fold_batch_norms(build("resnet_v2", 8, (3, 16, 16), 2))
