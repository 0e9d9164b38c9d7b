"""A decoder that does on the CPU what the hardware does, so that everything around it runs without a GPU.

Where there is no GPU, Triton's interpreter runs the kernel with NumPy.
It has to be chosen before the kernel is imported.
"""

import os
from collections.abc import Sequence

import numpy as np
import pytest
import simplejpeg
import torch

from imclass.images.gpu import warp

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

BLOCK = 2048  # pixels a program: the interpreter is fastest with few programs

REFUSED = b"refused by the decoder"


def as_tensors(images: Sequence[bytes]) -> list[torch.Tensor]:
    """Encoded images as a decoder is given them."""
    return [torch.frombuffer(bytearray(image), dtype=torch.uint8) for image in images]


class LibjpegDecoder:
    """Decodes with libjpeg as nvJPEG does: whole size, EXIF ignored. Refuses images that contain `REFUSED`.

    Attributes:
        calls: number of images of each call.
    """

    name = "libjpeg"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def decode(self, images: Sequence[torch.Tensor], channels: int) -> list[torch.Tensor | None]:
        self.calls.append(len(images))
        encoded = [image.numpy().tobytes() for image in images]
        return [None if REFUSED in image else self._decode(image, channels) for image in encoded]

    def _decode(self, image: bytes, channels: int) -> torch.Tensor:
        pixels = simplejpeg.decode_jpeg(image, "GRAY" if channels == 1 else "RGB", fastdct=False, fastupsample=False)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


@pytest.fixture(autouse=True)
def few_programs(monkeypatch) -> None:
    if "TRITON_INTERPRET" in os.environ:
        monkeypatch.setattr(warp, "_BLOCK", BLOCK)


@pytest.fixture
def libjpeg_decoder() -> LibjpegDecoder:
    return LibjpegDecoder()


@pytest.fixture
def photo():
    """Makes (H, W, 3) uint8 RGB with edges and some grain, as a photograph has."""

    def make(seed: int, height: int, width: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        y, x = np.mgrid[0:height, 0:width]
        picture = np.empty((height, width, 3))
        for channel in range(3):
            slope, tilt, phase = generator.uniform(0.01, 0.08, 3)
            picture[..., channel] = 128 + 90 * np.sin(slope * x + 6 * phase) * np.cos(tilt * y)
        for _ in range(4):
            centre_y, centre_x, radius = generator.uniform(0, height), generator.uniform(0, width), height / 5
            picture[(y - centre_y) ** 2 + (x - centre_x) ** 2 < radius**2] += generator.uniform(-60, 60, 3)
        return np.clip(picture + generator.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)

    return make
