"""From encoded bytes to the pixels that a network sees."""

import numpy as np
from numpy.typing import NDArray

from imclass.data.source import Encoded
from imclass.images.decode import decode_with_header
from imclass.images.header import ImageHeader, read_header
from imclass.images.plan import ImagePlan, plan_image
from imclass.images.scratch import Scratch
from imclass.images.settings import Augmentation, Preprocessing
from imclass.images.warp_cpu import execute

SMALL_IMAGE_PIXELS = 64 * 64
"""Images up to this many pixels are always decoded at their full size: less work than finding a smaller one."""


def preprocess(data: bytes, preprocessing: Preprocessing, *, scaled_decode: bool = True) -> NDArray[np.uint8]:
    """Pixels for validation and prediction: resize and centre cut.

    Args:
        data: an encoded JPEG or PNG.
        scaled_decode: decode a JPEG at 1/2, 1/4 or 1/8 of its size where the resize would shrink it by at least
            as much. Faster and smoother; the levels differ a little from the original's. Training, validation and
            prediction must use the same value.

    Returns:
        (H, W, C) uint8 of `preprocessing.image_shape`, RGB or grey, contiguous.

    Raises:
        ImageError: the image cannot be decoded.
    """
    header = read_header(data)
    plan = plan_image(None, header.width, header.height, preprocessing)
    return np.ascontiguousarray(carry_out(data, header, plan, preprocessing.channels, scaled_decode=scaled_decode))


def augment(
    data: bytes,
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    row: NDArray[np.float32],
    *,
    scaled_decode: bool = True,
) -> NDArray[np.uint8]:
    """Pixels for training: like `preprocess`, changed by chance.

    Args:
        row: (COLUMNS,) uniforms of this sample in this pass, from `draws`.

    Returns:
        (H, W, C) uint8 of `preprocessing.image_shape`, contiguous.

    Raises:
        ImageError: the image cannot be decoded.
    """
    header = read_header(data)
    plan = plan_image(row, header.width, header.height, preprocessing, augmentation)
    return np.ascontiguousarray(carry_out(data, header, plan, preprocessing.channels, scaled_decode=scaled_decode))


def carry_out(
    data: Encoded,
    header: ImageHeader,
    plan: ImagePlan,
    channels: int,
    *,
    scaled_decode: bool,
    out: NDArray[np.uint8] | None = None,
    scratch: Scratch | None = None,
) -> NDArray[np.uint8]:
    """Decode an image and execute its plan: (H, W, C) uint8, in `out` or else perhaps a view of a larger array.

    Args:
        scratch: memory for what is made on the way to `out`.

    Raises:
        ImageError: the image cannot be decoded.
    """
    at_least = None
    if scaled_decode and header.width * header.height > SMALL_IMAGE_PIXELS:
        resized = plan.layout.resized
        shrinks = resized != plan.layout.source
        at_least = (resized.height, resized.width) if shrinks else None
    memory = None if scratch is None else scratch.decoded
    pixels = decode_with_header(data, header, channels, at_least=at_least, memory=memory)
    return execute(pixels, plan, out=out, scratch=scratch)
