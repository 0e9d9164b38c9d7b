"""Small pictures for a page: images, and images with the map of a class laid over them."""

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imclass.data import Source
from imclass.errors import ImageError
from imclass.images import decode, dimensions
from imclass.inference import ActivationMap, Predictor
from imclass.inference.serving.overlay import draw

LONGEST_SIDE = 144
"""Pixels of a picture's longer side."""

QUALITY = 82
FRAME = (235, 235, 235)


@dataclass(frozen=True)
class Picture:
    """A picture on a page.

    Attributes:
        source: a data URL; None where the image cannot be read.
        width, height: pixels.
        words: what it shows, for those who do not see it.
    """

    source: str | None
    width: int
    height: int
    words: str


class Album:
    """Pictures of a source's images.

    Args:
        source: the images.
        predictor: whose maps are drawn, if any are.
    """

    def __init__(self, source: Source, predictor: Predictor | None = None) -> None:
        self._source = source
        self._predictor = predictor

    def key(self, index: int) -> str:
        """The name of an image, any bytes of which that are no text replaced."""
        return self._source.key(index).encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def image(self, index: int) -> Picture:
        """An image."""
        try:
            return _picture(_thumbnail(self._source[index].image), self.key(index))
        except ImageError as error:
            return Picture(None, LONGEST_SIDE, LONGEST_SIDE, f"{self.key(index)}: {error.what}")

    def explained(self, index: int, class_index: int) -> Picture:
        """An image with the activation map of a class: what speaks for the class is lit."""
        assert self._predictor is not None, "an album without a predictor explains nothing"
        words = f"what speaks for {self._predictor.class_names[class_index]} in {self.key(index)}"
        try:
            data = self._source[index].image
            pixels = _thumbnail(data)
            found = self._predictor.activation_map(data, class_index)
        except ImageError as error:
            return Picture(None, LONGEST_SIDE, LONGEST_SIDE, f"{self.key(index)}: {error.what}")
        height, width = pixels.shape[:2]
        overlay = draw(found.on_image((width, height)), found.largest)
        opacity = overlay[:, :, 3:].astype(np.float32) / 255 * 0.75
        dimmed = pixels * 0.55
        lit = np.clip(dimmed * (1 - opacity) + overlay[:, :, 2::-1] * opacity, 0, 255).astype(np.uint8)
        return _picture(_framed(lit, found), words)


def _thumbnail(data: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, the longer side `LONGEST_SIDE`; small images are enlarged without smoothing.

    Raises:
        ImageError: the image cannot be read.
    """
    width, height = dimensions(data)
    scale = LONGEST_SIDE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = decode(data, 3, at_least=(size[1], size[0]))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)


def _framed(pixels: NDArray[np.uint8], found: ActivationMap) -> NDArray[np.uint8]:
    """With a frame around the part that the network saw, where it did not see all."""
    image, seen = found.placement.image, found.seen
    if seen.width * seen.height > 0.98 * image.width * image.height:
        return pixels
    scale = pixels.shape[1] / image.width, pixels.shape[0] / image.height
    first = round(seen.left * scale[0]), round(seen.top * scale[1])
    last = round((seen.left + seen.width) * scale[0]) - 1, round((seen.top + seen.height) * scale[1]) - 1
    return np.asarray(cv2.rectangle(pixels, first, last, FRAME, 1), np.uint8)


def _picture(pixels: NDArray[np.uint8], words: str) -> Picture:
    encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    text = base64.b64encode(encoded.tobytes()).decode()
    return Picture(f"data:image/jpeg;base64,{text}", pixels.shape[1], pixels.shape[0], words)
