"""From what a caller has, a path, a file's bytes or an array, to the pixels that the network sees."""

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from imclass.errors import ImageError
from imclass.images import Preprocessing, dimensions, preprocess
from imclass.images.plan import Size, plan_image
from imclass.images.warp_cpu import execute

ImageInput = str | os.PathLike[str] | bytes | NDArray[np.uint8]


def prepare(image: ImageInput, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Pixels of one image.

    Args:
        image: a path, an encoded JPEG or PNG, or (H, W, 3) uint8 RGB.

    Returns:
        (H, W, C) uint8 of `preprocessing.image_shape`.

    Raises:
        ImageError: the image cannot be read, or is none of these.
    """
    if isinstance(image, np.ndarray):
        return _prepare_array(image, preprocessing)
    if isinstance(image, bytes | bytearray | memoryview):
        return preprocess(bytes(image), preprocessing)
    if isinstance(image, str | os.PathLike):
        return preprocess(_read(Path(image)), preprocessing)
    raise ImageError(
        f"{type(image).__name__} is no image", fix="Pass paths, bytes of JPEG or PNG files, or uint8 RGB arrays."
    )


def content_of(image: ImageInput) -> ImageInput:
    """The image without its path: the bytes of the file; bytes and arrays as they are.

    Raises:
        ImageError: the file cannot be read.
    """
    return _read(Path(image)) if isinstance(image, str | os.PathLike) else image


def size_of(content: ImageInput) -> Size:
    """Width and height as displayed, of what `content_of` gave.

    Raises:
        ImageError: the header cannot be read.
    """
    if isinstance(content, np.ndarray):
        return Size(content.shape[1], content.shape[0])
    assert isinstance(content, bytes | bytearray | memoryview), "prepare refuses everything else"
    return Size(*dimensions(bytes(content)))


def name_of(image: ImageInput, position: int) -> str:
    """What to call an image in messages: its path, or its place in the list."""
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"images[{position}]"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ImageError(f"cannot be read: {reason}") from error


def _prepare_array(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ImageError(
            f"an array of shape {pixels.shape} and type {pixels.dtype} is no image",
            fix="Pass (height, width, 3) uint8 RGB.",
        )
    pixels = np.ascontiguousarray(pixels)
    if preprocessing.channels == 1:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        pixels = np.asarray(grey, np.uint8)[:, :, np.newaxis]
    height, width = pixels.shape[:2]
    return execute(pixels, plan_image(None, width, height, preprocessing))
