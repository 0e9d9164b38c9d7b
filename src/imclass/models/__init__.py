"""The networks and the public weights that they can start from."""

from imclass.models.initialisation import initialise
from imclass.models.layout import Layout, layout_of
from imclass.models.pretrained import (
    PRETRAINED,
    LoadReport,
    PretrainedWeights,
    download_pretrained,
    family_of,
    load_pretrained,
)
from imclass.models.resnet import NETWORKS, ResNet, build

__all__ = [
    "NETWORKS",
    "PRETRAINED",
    "Layout",
    "LoadReport",
    "PretrainedWeights",
    "ResNet",
    "build",
    "download_pretrained",
    "family_of",
    "initialise",
    "layout_of",
    "load_pretrained",
]
