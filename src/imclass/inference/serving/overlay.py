"""Draws a class activation map as a picture to be laid over the image that it explains."""

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

LONGEST_SIDE = 400
"""Pixels of an overlay: the maps are smooth, so more would show nothing more."""

MOST_OPAQUE = 240  # of 255


def overlay_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the overlay for an image of this size."""
    factor = min(1.0, LONGEST_SIDE / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def draw(values: NDArray[np.float32], largest: float) -> NDArray[np.uint8]:
    """Colours for a map.

    Args:
        values: (height, width) float32, what each place adds to the logit.
        largest: the value that gets the strongest colour.

    Returns:
        (height, width, 4) uint8, BGRA. The largest value is yellow and nearly opaque; what adds nothing, or speaks
        against the class, is transparent.
    """
    if largest <= 0:
        return np.zeros((*values.shape, 4), np.uint8)
    strength = np.clip(values / largest, 0, 1)
    colours = cv2.applyColorMap((strength * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    opacity = (strength * MOST_OPAQUE).astype(np.uint8)
    return np.dstack([colours, opacity])


def png_data_url(pixels: NDArray[np.uint8]) -> str:
    """A picture (height, width, 4) uint8 BGRA as a URL that holds it."""
    encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1]
    return f"data:image/png;base64,{base64.b64encode(encoded.tobytes()).decode()}"
