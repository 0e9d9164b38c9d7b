"""Encoded image to encoded image, as MXNet's `im2rec.py` does it: decode, cut to a square, resize, encode.

OpenCV encodes, so that where nothing but the encoding is done the bytes are those that im2rec writes with the same
version of OpenCV.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imclass.errors import ImageError
from imclass.images.decode import decode_with_header
from imclass.images.header import read_header

ENCODINGS = (".jpg", ".png")
DEFAULT_QUALITY = {".jpg": 95, ".png": 9}
QUALITY_RANGE = {".jpg": (1, 100), ".png": (0, 9)}
MAX_JPEG_SIDE = 65_500  # libjpeg's own limit


@dataclass(frozen=True, slots=True)
class Encoding:
    """How images are made anew.

    Attributes:
        resize: length of the shorter side in pixels; 0 leaves the size alone. Images are enlarged too.
        center_crop: cut the longer side to the length of the shorter, around the centre, before resizing.
        quality: JPEG quality 1 to 100, or PNG compression 0 to 9.
        encoding: ".jpg" or ".png".
        full_decode: decode JPEGs at their full size before resizing, as im2rec does. Otherwise one that is to shrink
            to half or less is decoded at 1/2, 1/4 or 1/8, which is several times faster and smooths more.
    """

    resize: int = 0
    center_crop: bool = False
    quality: int = DEFAULT_QUALITY[".jpg"]
    encoding: str = ".jpg"
    full_decode: bool = False

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"encoding must be one of {', '.join(ENCODINGS)}, not {self.encoding!r}")
        least, most = QUALITY_RANGE[self.encoding]
        if not least <= self.quality <= most:
            raise ValueError(f"quality of {self.encoding} must be {least} to {most}, not {self.quality}")
        if self.resize < 0:
            raise ValueError(f"resize must not be negative, not {self.resize}")


def reencode(data: bytes, encoding: Encoding) -> bytes:
    """Make an image anew, in RGB.

    Args:
        data: an encoded JPEG or PNG. EXIF orientation is applied, alpha dropped, grey repeated on three channels.

    Raises:
        ImageError: the image cannot be decoded, or its new size cannot be encoded.
    """
    header = read_header(data)
    size = resized(header.width, header.height, encoding.resize) if encoding.resize else (header.width, header.height)
    at_least = (size[1], size[0]) if encoding.resize and not encoding.full_decode else None
    pixels = decode_with_header(data, header, 3, at_least=at_least)
    if encoding.center_crop:
        pixels = _centre_square(pixels)
        size = (min(size), min(size))
    if max(size) > MAX_JPEG_SIDE or min(size) == 0:
        raise ImageError(f"{header.width}x{header.height} pixels would be resized to {size[0]}x{size[1]}")
    if encoding.resize:
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return _encode(pixels, encoding)


def resized(width: int, height: int, resize: int) -> tuple[int, int]:
    """(width, height) with the shorter side `resize` pixels long, in im2rec's integer arithmetic."""
    if height > width:
        return resize, height * resize // width
    return width * resize // height, resize


def _centre_square(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def _encode(pixels: NDArray[np.uint8], encoding: Encoding) -> bytes:
    setting = cv2.IMWRITE_JPEG_QUALITY if encoding.encoding == ".jpg" else cv2.IMWRITE_PNG_COMPRESSION
    written, encoded = cv2.imencode(
        encoding.encoding, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [setting, encoding.quality]
    )
    if not written:
        raise ImageError(f"{pixels.shape[1]}x{pixels.shape[0]} pixels cannot be encoded as {encoding.encoding}")
    return encoded.tobytes()
