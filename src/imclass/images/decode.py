"""Encoded bytes to pixels.

JPEG goes through libjpeg-turbo with its exact integer transform and smooth chroma upsampling, which gives the same
levels as OpenCV and so as the original. PNG goes through OpenCV.
"""

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from imclass.data.reused_memory import ReusedMemory
from imclass.data.source import Encoded
from imclass.errors import ImageError
from imclass.images.header import ImageHeader, png_is_complete, read_header

_LEVELS = {"RGB": 3, "GRAY": 1, "CMYK": 4}
SCALE_DIVISORS = (8, 4, 2)  # libjpeg-turbo's other scales (7/8, 5/8 ...) are slower than no scaling at all

# Stray bytes between header segments, and rare chroma subsampling such as 4x2: TurboJPEG stops at these even when it is
# not strict. The plain libjpeg interface, which OpenCV uses, decodes them.
_ONLY_TURBOJPEG_REFUSES = ("extraneous bytes", "subsampling level")


def decode(data: bytes, channels: int = 3, *, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG.

    Grey images are repeated on three channels, alpha is dropped, 16 bit PNG keep their upper 8 bits, CMYK and YCCK
    become RGB, and EXIF orientation of JPEG is applied.

    Args:
        data: the encoded image.
        channels: 3 for RGB, 1 for grey.
        at_least: (height, width), as displayed, that the result must reach. A JPEG is then decoded at 1/8, 1/4
            or 1/2 of its size if the result is still at least so large, which is faster. None: at its full size.

    Returns:
        (H, W, channels) uint8, contiguous.

    Raises:
        ImageError: neither JPEG nor PNG, truncated, damaged beyond decoding, or more than `MAX_PIXELS` pixels.
    """
    return decode_with_header(data, read_header(data), channels, at_least=at_least)


def decode_with_header(
    data: Encoded,
    header: ImageHeader,
    channels: int = 3,
    *,
    at_least: tuple[int, int] | None = None,
    memory: ReusedMemory | None = None,
) -> NDArray[np.uint8]:
    """`decode` for a caller who has read the header already.

    Args:
        memory: where the result may lie, for a caller who needs it only until the next; None: in memory of its own.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 3 or 1, not {channels}")
    if header.format == "png":
        return _decode_png(data, channels)
    pixels = _decode_jpeg(data, header, channels, _stored_size(header, at_least), memory)
    return _oriented(pixels, header.orientation)


def _stored_size(header: ImageHeader, at_least: tuple[int, int] | None) -> tuple[int, int]:
    """Stored (height, width) at which to decode: the smallest scaling that reaches `at_least`."""
    height, width = header.stored_height, header.stored_width
    if at_least is not None:
        least_height, least_width = reversed(at_least) if header.is_transposed else at_least
        for divisor in SCALE_DIVISORS:
            scaled_height, scaled_width = -(-height // divisor), -(-width // divisor)
            if scaled_height >= least_height and scaled_width >= least_width:
                return scaled_height, scaled_width
    return height, width


def _decode_jpeg(
    data: Encoded, header: ImageHeader, channels: int, size: tuple[int, int], memory: ReusedMemory | None
) -> NDArray[np.uint8]:
    colorspace = "CMYK" if header.components == 4 else "GRAY" if channels == 1 else "RGB"
    place = None if memory is None else memory.array((*size, _LEVELS[colorspace]))
    try:
        pixels = _libjpeg(data, colorspace, size, strict=True, place=place)
    except ValueError as problem:
        data = bytes(data)
        if not _is_tolerable(data, str(problem)):
            raise ImageError(f"the JPEG cannot be decoded: {problem}") from problem
        return _decode_unusual_jpeg(data, colorspace, channels, size)
    return _from_cmyk(pixels, channels) if colorspace == "CMYK" else pixels


def _libjpeg(
    data: Encoded, colorspace: str, size: tuple[int, int], *, strict: bool, place: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
        data,
        colorspace,
        fastdct=False,
        fastupsample=False,
        min_height=size[0],
        min_width=size[1],
        buffer=place,
        strict=strict,
    )
    return pixels


def _is_tolerable(data: bytes, problem: str) -> bool:
    """Whether a JPEG about which the decoder complains still holds the whole picture.

    The decoder names its first complaint only, so the end of the image is looked for as well: a missing end means
    that the rest of the picture would be grey.
    """
    has_end = data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    return has_end and "premature end" not in problem.lower()


def _decode_unusual_jpeg(data: bytes, colorspace: str, channels: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode a JPEG that breaks rules without losing picture, or follows them in a way that TurboJPEG does not know."""
    try:
        pixels = _libjpeg(data, colorspace, size, strict=False)
    except ValueError as problem:
        if not any(known in str(problem) for known in _ONLY_TURBOJPEG_REFUSES):
            raise ImageError(f"the JPEG cannot be decoded: {problem}") from problem
        return _opencv(data, channels, "JPEG")
    return _from_cmyk(pixels, channels) if colorspace == "CMYK" else pixels


def _from_cmyk(inverted: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """RGB or grey of CMYK as JPEG files hold it, inverted as Adobe does: 255 is no ink. red = cyan * key / 255."""
    colours = inverted[..., :3].astype(np.uint16)
    key = inverted[..., 3:].astype(np.uint16)
    rgb = ((colours * key + 127) // 255).astype(np.uint8)
    return _grey(rgb) if channels == 1 else rgb


def _grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., np.newaxis], np.uint8)


def _decode_png(data: Encoded, channels: int) -> NDArray[np.uint8]:
    if not png_is_complete(data):
        raise ImageError(f"the PNG is truncated: {len(data)} bytes end before its last chunk does")
    return _opencv(data, channels, "PNG")


def _opencv(data: Encoded, channels: int, name: str) -> NDArray[np.uint8]:
    colour = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), colour | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as problem:
        raise ImageError(f"the {name} cannot be decoded: {problem}") from problem
    if pixels is None:
        raise ImageError(f"the {name} cannot be decoded: its compressed data are damaged")
    pixels = pixels[..., np.newaxis] if channels == 1 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return np.asarray(pixels, np.uint8)


def _oriented(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn stored pixels the way EXIF says that they are to be shown."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
