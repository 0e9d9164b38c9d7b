"""The picture of a map."""

import base64

import cv2
import numpy as np
import pytest

from imclass.inference.serving.overlay import draw, overlay_size, png_data_url


def test_strength_is_opacity_and_brightness() -> None:
    pixels = draw(np.array([[-5, 0, 1, 2, 4, 9]], np.float32), largest=4)
    assert pixels.shape == (1, 6, 4)
    assert pixels[0, :, 3].tolist() == [0, 0, 60, 120, 240, 240]
    brightness = pixels[0, 2:, :3].astype(int).sum(axis=1)
    assert (np.diff(brightness) >= 0).all()
    assert brightness[0] < brightness[-1]


def test_nothing_is_drawn_where_no_class_gains() -> None:
    assert not draw(np.array([[-5, -1]], np.float32), largest=-1).any()


@pytest.mark.parametrize(
    ("size", "drawn"), [((100, 50), (100, 50)), ((800, 400), (400, 200)), ((10, 9000), (1, 400)), ((1, 1), (1, 1))]
)
def test_size(size: tuple[int, int], drawn: tuple[int, int]) -> None:
    assert overlay_size(*size) == drawn


def test_the_url_holds_the_picture() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4)).astype(np.uint8)
    head, data = png_data_url(pixels).split(",")
    assert head == "data:image/png;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, pixels)
