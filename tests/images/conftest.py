"""Images made for the tests, and a data set that lives in memory."""

import io
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imclass.data.source import Sample
from imclass.errors import ImageError

GOLDEN = Path(__file__).parent.parent / "golden"


class MemorySource:
    """A source over encoded images; None stands for an image whose file is missing."""

    def __init__(self, images: Sequence[bytes | None], name: str = "memory") -> None:
        self.images = images
        self.name = name
        self.class_names = None
        self.labels = np.arange(len(images), dtype=np.float32)[:, np.newaxis]

    def __len__(self) -> int:
        return len(self.images)

    def key(self, index: int) -> str:
        return f"image-{index}"

    def __getitem__(self, index: int) -> Sample:
        image = self.images[index]
        if image is None:
            raise ImageError("the file is missing", where=self.key(index))
        return Sample(self.key(index), image, self.labels[index])


def smooth(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB: soft blobs of random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def golden_images(name: str) -> list[bytes]:
    """The encoded images of a golden .rec file whose records are in one part and have scalar labels."""
    record_file = GOLDEN / name
    content = record_file.read_bytes()
    offsets = [int(line.split("\t")[1]) for line in record_file.with_suffix(".idx").read_text().splitlines()]
    images = []
    for offset in offsets:
        length = struct.unpack_from("<I", content, offset + 4)[0] & 0x1FFFFFFF
        images.append(content[offset + 32 : offset + 8 + length])
    return images


@pytest.fixture(name="smooth")
def smooth_fixture() -> Callable[[int, int, int], NDArray[np.uint8]]:
    return smooth


@pytest.fixture
def jpeg() -> Callable[..., bytes]:
    """Encodes (H, W, 3) RGB pixels, or a Pillow image, as JPEG."""

    def encode(pixels: NDArray[np.uint8] | Image.Image, **options: object) -> bytes:
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        return encoded(image, "JPEG", **{"quality": 95, **options})

    return encode


@pytest.fixture
def png() -> Callable[..., bytes]:
    """Encodes (H, W, 3) RGB or (H, W) pixels, or a Pillow image, as PNG."""

    def encode(pixels: NDArray[np.uint8] | NDArray[np.uint16] | Image.Image) -> bytes:
        return encoded(pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels), "PNG")

    return encode


@pytest.fixture
def memory_source() -> type[MemorySource]:
    return MemorySource


@pytest.fixture
def augment_images() -> list[bytes]:
    """The five images from which MXNet made the arrays in golden/augment."""
    return golden_images("augment/images.rec")


@pytest.fixture
def scalar_images() -> list[bytes]:
    return golden_images("recordio/scalar.rec")


@pytest.fixture
def golden() -> Path:
    return GOLDEN
