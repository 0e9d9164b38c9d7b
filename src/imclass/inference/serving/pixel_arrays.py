"""Images as JSON arrays of pixels, as clients of SageMaker Neo's image send them: `[[[R, G, B], ...], ...]`.

Such an image goes on as a PNG, which keeps each level, so that it takes the way of all other images from here.
"""

from http import HTTPStatus

import cv2
import numpy as np

from imclass.inference.serving.problems import RequestError

FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]
CHANNELS = (1, 3)


def png_of(rows: list[object]) -> bytes:
    """An image of pixels.

    Args:
        rows: (H, W, C) whole numbers 0 to 255, as nested lists; C is 3, for red, green and blue, or 1.

    Raises:
        RequestError: 400, it is something else.
    """
    try:
        pixels = np.asarray(rows)
    except ValueError as error:
        raise _bad("its rows, or pixels, differ in length") from error
    if pixels.ndim != 3 or pixels.shape[2] not in CHANNELS or not pixels.size:
        raise _bad(f"its shape is {pixels.shape}")
    if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
        raise _bad("some of its elements are no whole numbers from 0 to 255")
    return cv2.imencode(".png", pixels.astype(np.uint8)[:, :, ::-1], FAST)[1].tobytes()


def _bad(what: str) -> RequestError:
    return RequestError(
        HTTPStatus.BAD_REQUEST,
        f"the JSON array is no image: {what}. Send rows of pixels of whole numbers: height x width x 3, from 0 to 255",
    )
