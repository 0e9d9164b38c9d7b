"""Models in the formats of other programs, checked against the original model on images before they are written."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from imclass import artifact
from imclass.errors import ArtifactError, UserError
from imclass.images import Preprocessing, generated_pixels
from imclass.inference.exports import FORMATS, export
from imclass.inference.pixels import ImageInput, prepare

MXNET: Final = "mxnet"  # files of weights, all others are programs
TARGETS: Final = (MXNET, *FORMATS)

MOST_IMAGES = 256  # of many images, so many are taken at equal distances


@dataclass(frozen=True)
class Conversion:
    """What came of a conversion.

    Attributes:
        files: the files that were written, the one that was asked for first.
        images: number of images on which the answers were compared.
        largest_difference: of a probability, 0 to 1.
        left_out: what the model has and the new format has no place for, in words.
    """

    files: tuple[Path, ...]
    images: int
    largest_difference: float
    left_out: tuple[str, ...]


def convert(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    to: str,
    images: Sequence[ImageInput] = (),
    *,
    class_names: Sequence[str] | None = None,
    image_shape: tuple[int, int, int] | None = None,
    dtype: str = "float32",
) -> Conversion:
    """Write a model in the format of another program.

    Args:
        model: any form that `imclass.load` takes.
        output: the file to write; one that is there already is replaced, but never the model itself. Its name ends in
            `.onnx`, `.xml` (openvino, the weights go to `.bin` beside it) or `.pt2` (torch); for mxnet it is usually
            `model.tar.gz`.
        to: one of `TARGETS`.
        images: paths, encoded files or arrays on which the answers are compared, at most `MOST_IMAGES` of them;
            generated ones if there are none.
        class_names: names in the order of the class numbers, in place of the model's own, if it has any.
        image_shape: (channels, height, width) of a model of MXNet that does not say it.
        dtype: of the weights: float32, or float16 for mxnet.

    Raises:
        ArtifactError: the model cannot be opened or not be written so, would be replaced, or what would be written
            answers otherwise.
        ImageError: an image cannot be read.
        UserError: a package is missing, or there is no such target or type.
    """
    path = Path(output)
    _check_request(Path(model), path, to, dtype)
    description, network = artifact.load(Path(model), image_shape=image_shape)
    description = artifact.supplemented(description, os.fspath(model), class_names=class_names, image_shape=image_shape)
    pixels = _pixels(description, images)
    if to == MXNET:
        compared = torch.from_numpy(pixels).float()
        difference = artifact.save_mxnet(path, description, network.state_dict(), compared, dtype=dtype)
        return Conversion((path,), len(pixels), difference, artifact.left_out_by_mxnet(description))
    files, difference = export(path, FORMATS[to], description, network, pixels)
    return Conversion(files, len(pixels), difference, ())


def _check_request(model: Path, path: Path, to: str, dtype: str) -> None:
    """Refuse what would fail only after the work is done."""
    if to not in TARGETS:
        raise UserError(f"there is no format {to!r}", where="to", fix=f"Choose one of {', '.join(TARGETS)}.")
    if dtype not in artifact.MXNET_DTYPES:
        raise UserError(
            f"weights cannot be written as {dtype!r}", where="dtype", fix=f"Use {' or '.join(artifact.MXNET_DTYPES)}."
        )
    if to != MXNET:
        if dtype != "float32":
            raise UserError(f"{dtype} weights are for {MXNET} only", where="dtype", fix="Leave it out.")
        FORMATS[to].check(path)
    if not path.parent.is_dir():
        raise ArtifactError("there is no such folder", where=str(path.parent), fix="Make it first.")
    if path.exists() and model.exists() and path.samefile(model):
        raise ArtifactError(
            "this is the model to convert, and other formats keep less of it",
            where=str(path),
            fix="Give the output another name.",
        )


def _pixels(description: artifact.Description, images: Sequence[ImageInput]) -> NDArray[np.uint8]:
    """(N, C, H, W): the images as the model sees them, or noise around a colour each."""
    if images:
        chosen = images[:: -(-len(images) // MOST_IMAGES)]
        preprocessing = Preprocessing(
            image_shape=description.image_shape,
            resize=description.resize,
            resize_mode=description.resize_mode,
            fill_value=description.fill_value,
        )
        return np.stack([prepare(image, preprocessing) for image in chosen]).transpose(0, 3, 1, 2)
    return generated_pixels(description.image_shape)
