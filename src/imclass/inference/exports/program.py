"""What is exported: a network between pixels and probabilities, and the description that goes with it.

Input `images`: (N, C, H, W) uint8, RGB (or grey), 0 to 255, already of the network's size. Bytes are what every decoder
gives, and nobody can pass values of 0 to 1 by mistake. N is free.
Output `probabilities`: (N, num_classes) float32.
"""

import json
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from imclass.artifact import Description
from imclass.models import ResNet

INPUT: Final = "images"
OUTPUT: Final = "probabilities"
BATCH: Final = "batch"  # what the free side of the input is called
PRECISION: Final = "precision"  # of the convolutions, among the metadata where it is not float32
EXAMPLE_BATCH: Final = 2  # exporters take an example, and take a side of 1 for fixed

Metadata = Mapping[str, str]  # JSON values by name


class Program(nn.Module):
    """(N, C, H, W) uint8 to (N, num_classes) float32; softmax, or sigmoid for independent classes."""

    def __init__(self, network: ResNet, *, multi_label: bool) -> None:
        super().__init__()
        self.network = network
        self.multi_label = multi_label

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images.float())
        return logits.sigmoid() if self.multi_label else logits.softmax(dim=1)

    def example(self) -> Tensor:
        """Black images."""
        return torch.zeros(EXAMPLE_BATCH, *self.network.image_shape, dtype=torch.uint8)


def metadata_of(description: Description) -> Metadata:
    """What a program has to know that prepares images and names classes."""
    facts: dict[str, object] = {
        "class_names": description.class_names,
        "num_classes": description.num_classes,
        "multi_label": description.multi_label,
        "image_shape": description.image_shape,
        "preprocessing": {
            "resize": description.resize,
            "resize_mode": description.resize_mode,
            "fill_value": description.fill_value,
            "colours": "RGB" if description.image_shape[0] == 3 else "grey",
        },
        "network": description.network,
        "num_layers": description.num_layers,
        "epoch": description.epoch,
        "metrics": json.loads(description.model_dump_json(include={"metrics"}))["metrics"],
        "imclass_version": description.imclass_version,
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in facts.items()}
