"""The original's starting values."""

import math

import torch
from torch import nn


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Give every layer in `module` the original's starting values, in place.

    Weights of convolutions and linear layers are normal with standard deviation sqrt(2 / fan_in) (He et al.,
    "Delving Deep into Rectifiers", 2015), fan_in being the number of inputs of one output; biases are 0;
    batch norms start as the identity with fresh statistics. Layers draw in the order of their sorted names.

    Args:
        module: a network or a single layer, on any device.
        generator: a generator on the CPU, so that the values do not depend on the device.
    """
    for _, layer in sorted(module.named_modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in = layer.weight[0].numel()
            values = torch.empty(layer.weight.shape, device="cpu")
            layer.weight.copy_(values.normal_(0.0, math.sqrt(2.0 / fan_in), generator=generator))
            if layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
