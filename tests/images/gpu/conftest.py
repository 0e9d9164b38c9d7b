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
from PIL import Image

from imclass.images import AUGMENTATIONS, BadImages, Batch, Loader, Preprocessing
from imclass.images.gpu import warp
from imclass.images.gpu.opening import open_hardware

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

BLOCK = 2048  # pixels a program: the interpreter is fastest with few programs

REFUSED = b"refused by the decoder"

CPU = torch.device("cpu")
DEVICE = torch.device("cuda", 0) if torch.cuda.is_available() else CPU
PREPROCESSING = Preprocessing((3, 16, 20), 40)

ON_CPU = [1, 3, 4, 6]
"""The images of `mixed` that the CPU decodes."""


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


class DeviceLibjpegDecoder(LibjpegDecoder):
    """The stand-in, delivering to `DEVICE`."""

    def decode(self, images, channels):
        return [None if image is None else image.to(DEVICE) for image in super().decode(images, channels)]


@pytest.fixture
def decoder() -> DeviceLibjpegDecoder:
    return DeviceLibjpegDecoder()


@pytest.fixture
def mixed(memory_source, jpeg, png, photo):
    """13 images: plain JPEGs, and every kind that the CPU decodes."""
    images = [jpeg(photo(number, 70 + 3 * number, 110 - 2 * number)) for number in range(13)]
    images[1] = png(photo(1, 70, 80))
    images[3] = jpeg(photo(3, 70, 90), progressive=True)
    images[4] = jpeg(Image.fromarray(photo(4, 80, 90)).convert("CMYK"))
    images[6] = jpeg(photo(6, 20, 30))
    images[8] = jpeg(Image.fromarray(photo(8, 80, 90)).convert("L"))
    exif = Image.Exif()
    exif[0x0112] = 6
    images[10] = jpeg(photo(10, 70, 110), exif=exif.tobytes())
    return memory_source(images, "mixed")


def make(source, hardware_decoder, **options) -> Loader:
    values = {"threads": 2, "device": DEVICE, "bad_images": BadImages(1.0), "decoder": "hardware", **options}
    values.setdefault("preprocessing", PREPROCESSING)
    return Loader(source, hardware_decoder=hardware_decoder, **values)


def helped(source, hardware_decoder, threads: int) -> Loader:
    """A loader with `auto`, which on a CPU would not ask for the hardware decoder."""
    loader = make(source, hardware_decoder, threads=threads, augmentation=AUGMENTATIONS["crop"])
    loader._hardware = open_hardware("auto", DEVICE, threads, hardware_decoder)
    loader._has_tried_hardware = True
    assert loader._hardware is not None
    return loader


def requests(samples: int, batch_size: int, number: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    order = np.random.default_rng(number).permutation(samples)
    parts = [order[start : start + batch_size] for start in range(0, samples, batch_size)]
    return [(part, np.full(len(part), number)) for part in parts]


def collect(loader: Loader, asked) -> list[Batch]:
    with loader:
        return list(loader.batches(asked))


def pixels(batch: Batch) -> np.ndarray:
    return batch.images.permute(0, 2, 3, 1).cpu().numpy().astype(int)
