"""Models in the formats of other programs, checked against the original model on images before they are written."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from imclass import artifact
from imclass.images import Preprocessing
from imclass.inference.pixels import ImageInput, prepare

MOST_IMAGES = 256  # of many images, so many are taken at equal distances
GENERATED_IMAGES = 16  # to compare answers on, when no images are given


@dataclass(frozen=True)
class Conversion:
    """What came of a conversion.

    Attributes:
        output: the file that was written.
        images: number of images on which the answers were compared.
        largest_difference: of a probability, 0 to 1.
        left_out: what the model has and the new format has no place for, in words.
    """

    output: Path
    images: int
    largest_difference: float
    left_out: tuple[str, ...]


def convert_to_mxnet(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    images: Sequence[ImageInput] = (),
    *,
    image_shape: tuple[int, int, int] | None = None,
) -> Conversion:
    """Write a `resnet_v2` model as SageMaker's own algorithm does, for its endpoints and for MXNet.

    Args:
        model: any form that `imclass.load` takes.
        output: the archive to write, usually called `model.tar.gz`; one that is there already is replaced.
        images: paths, encoded files or arrays on which the answers are compared, at most `MOST_IMAGES` of them;
            generated ones if there are none.
        image_shape: (channels, height, width) of a model of MXNet that does not say it.

    Raises:
        ArtifactError: the model cannot be opened, is of another family, or cannot be written.
        ImageError: an image cannot be read.
    """
    description, state = artifact.read(Path(model), image_shape=image_shape)
    description = artifact.supplemented(description, os.fspath(model), image_shape=image_shape)
    pixels = _pixels(description, images)
    difference = artifact.save_mxnet(Path(output), description, state, pixels)
    return Conversion(Path(output), len(pixels), difference, tuple(_left_out(description)))


def _pixels(description: artifact.Description, images: Sequence[ImageInput]) -> torch.Tensor:
    """(N, C, H, W) float32, 0 to 255: the images as the model sees them, or noise around a colour each."""
    if images:
        chosen = images[:: -(-len(images) // MOST_IMAGES)]
        preprocessing = Preprocessing(
            image_shape=description.image_shape,
            resize=description.resize,
            resize_mode=description.resize_mode,
            fill_value=description.fill_value,
        )
        return (
            torch.from_numpy(np.stack([prepare(image, preprocessing) for image in chosen])).permute(0, 3, 1, 2).float()
        )
    generator = torch.Generator().manual_seed(0)
    channels, height, width = description.image_shape
    colours = torch.rand(GENERATED_IMAGES, channels, 1, 1, generator=generator) * 255
    noise = torch.randn(GENERATED_IMAGES, channels, height, width, generator=generator) * 40
    return (colours + noise).clamp(0, 255).round()


def _left_out(description: artifact.Description) -> list[str]:
    left_out = []
    if description.class_names:
        left_out.append("class names: outputs are numbered")
    if (description.resize_mode, description.resize) != ("stretch", None):
        left_out.append(
            f"preparation of images (resize {description.resize or 'none'}, {description.resize_mode}): "
            "the original stretches them to the image shape"
        )
    return left_out
