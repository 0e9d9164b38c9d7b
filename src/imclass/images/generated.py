"""Images that stand in for photographs where there are none."""

import numpy as np
from numpy.typing import NDArray

GENERATED_IMAGES = 16


def generated_pixels(image_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Noise around one colour each, the same at every call.

    Args:
        image_shape: (channels, height, width).

    Returns:
        (16, C, H, W) uint8.
    """
    generator = np.random.Generator(np.random.Philox(0))
    channels, height, width = image_shape
    colours = generator.uniform(0, 255, (GENERATED_IMAGES, channels, 1, 1))
    noise = generator.normal(0, 40, (GENERATED_IMAGES, channels, height, width))
    return (colours + noise).clip(0, 255).round().astype(np.uint8)
