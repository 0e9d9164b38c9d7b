"""Images made anew: the pixels and bytes of im2rec's own steps."""

import cv2
import numpy as np
import pytest

from imclass.errors import ImageError
from imclass.images.reencode import Encoding, reencode, resized
from tests.data.golden_files import GOLDEN

IMAGES = sorted((GOLDEN / "im2rec" / "images").rglob("*_0*"))


def photo(height: int, width: int) -> bytes:
    generator = np.random.default_rng(3)
    pixels = cv2.resize(generator.integers(0, 255, (12, 12, 3)).astype(np.uint8), (width, height))
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def im2rec(data: bytes, resize: int, center_crop: bool, quality: int, encoding: str) -> bytes:
    """What im2rec.py does with an image, step by step."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if center_crop:
        height, width = pixels.shape[:2]
        if height > width:
            margin = (height - width) // 2
            pixels = pixels[margin : margin + width, :]
        else:
            margin = (width - height) // 2
            pixels = pixels[:, margin : margin + height]
    if resize:
        height, width = pixels.shape[:2]
        size = (resize, height * resize // width) if height > width else (width * resize // height, resize)
        pixels = cv2.resize(pixels, size)
    setting = cv2.IMWRITE_JPEG_QUALITY if encoding == ".jpg" else cv2.IMWRITE_PNG_COMPRESSION
    return cv2.imencode(encoding, pixels, [setting, quality])[1].tobytes()


@pytest.mark.parametrize("resize", [0, 17, 90])
@pytest.mark.parametrize("center_crop", [False, True])
@pytest.mark.parametrize(("encoding", "quality"), [(".jpg", 95), (".jpg", 40), (".png", 9), (".png", 1)])
def test_bytes_are_those_of_im2recs_steps(resize: int, center_crop: bool, encoding: str, quality: int) -> None:
    settings = Encoding(resize, center_crop, quality, encoding, full_decode=True)
    images = [path.read_bytes() for path in IMAGES] + [photo(61, 40), photo(40, 61)]
    assert len(images) == 12
    for data in images:
        assert reencode(data, settings) == im2rec(data, resize, center_crop, quality, encoding)


@pytest.mark.parametrize(("height", "width"), [(900, 700), (700, 901), (640, 640)])
@pytest.mark.parametrize("center_crop", [False, True])
def test_scaled_decoding_keeps_the_size_and_nearly_the_picture(height: int, width: int, center_crop: bool) -> None:
    data = photo(height, width)
    pictures = []
    for full_decode in (False, True):
        settings = Encoding(150, center_crop, 9, ".png", full_decode)
        made = reencode(data, settings)
        pictures.append(cv2.imdecode(np.frombuffer(made, np.uint8), cv2.IMREAD_COLOR).astype(int))
    assert pictures[0].shape == pictures[1].shape
    assert min(pictures[0].shape[:2]) == 150
    assert np.abs(pictures[0] - pictures[1]).mean() < 1.5


def test_size_rounds_down() -> None:
    assert resized(300, 200, 64) == (96, 64)
    assert resized(200, 333, 64) == (64, 106)
    assert resized(10, 10, 64) == (64, 64)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quality": 0}, "1 to 100"),
        ({"encoding": ".png", "quality": 95}, "0 to 9"),
        ({"encoding": ".gif"}, ".jpg, .png"),
        ({"resize": -1}, "negative"),
    ],
)
def test_settings_out_of_range(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Encoding(**options)


def test_images_that_cannot_be_made() -> None:
    with pytest.raises(ImageError, match="neither JPEG nor PNG"):
        reencode(b"GIF89a", Encoding())
    with pytest.raises(ImageError, match="40x1 pixels would be resized to 80000x2000"):
        reencode(photo(1, 40), Encoding(resize=2000))
