"""Images that stand in for photographs."""

import numpy as np

from imclass.images import generated_pixels


def test_generated_images_differ_and_are_the_same_at_every_call() -> None:
    pixels = generated_pixels((3, 8, 10))
    assert pixels.shape == (16, 3, 8, 10)
    assert pixels.dtype == np.uint8
    assert len(np.unique(pixels.reshape(16, -1), axis=0)) == 16
    assert np.array_equal(pixels, generated_pixels((3, 8, 10)))
