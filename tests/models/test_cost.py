"""Counts of multiplications against published ones."""

import pytest
import torch

from imclass.models import build
from imclass.models.cost import multiply_adds


@pytest.mark.parametrize(
    ("family", "num_layers", "shape", "billions"),
    [
        ("resnet_v1", 18, (3, 224, 224), 1.81),  # torchvision's documentation, GFLOPS
        ("resnet_v1", 50, (3, 224, 224), 4.09),
        ("resnet_v1", 152, (3, 224, 224), 11.51),
        ("resnet_v2", 20, (3, 32, 32), 0.041),  # "Deep Residual Learning": 40.8 million
    ],
)
def test_known_networks(family: str, num_layers: int, shape: tuple[int, int, int], billions: float) -> None:
    with torch.device("meta"):
        network = build(family, num_layers, shape, 1000 if shape[1] == 224 else 10)
    assert multiply_adds(network) / 1e9 == pytest.approx(billions, rel=0.005)


def test_the_network_itself_is_left_alone() -> None:
    network = build("resnet_v2", 8, (1, 16, 16), 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    # By hand: the stem, then three units of two 3x3 convolutions and a 1x1 shortcut, then the last layer.
    stem = 16 * 16 * 16 * 9
    units = sum(
        side * side * width * (9 * inputs + 9 * width + inputs)
        for side, inputs, width in ((16, 16, 16), (8, 16, 32), (4, 32, 64))
    )
    assert multiply_adds(network) == stem + units + 64 * 2
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(layer._forward_hooks for layer in network.modules())
