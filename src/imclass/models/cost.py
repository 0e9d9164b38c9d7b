"""What a network costs to compute."""

import torch
from torch import Tensor, nn

from imclass.models.resnet import ResNet, build


@torch.no_grad()
def multiply_adds(network: ResNet) -> int:
    """Multiplications, each with its addition, of the convolutions and the last layer for one image forward."""
    with torch.device("meta"):
        model = build(network.family, network.num_layers, network.image_shape, network.num_classes)
    model = model.to("meta").eval()
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        total += layer.weight[0].numel() * output[0].numel()

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    model(torch.empty(1, *network.image_shape, device="meta"))
    return total
