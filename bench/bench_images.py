"""Images to measure with where there are no others, and records of images."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

PHOTOS, SMALL_IMAGES = 400, 5_000
# As many bytes a photograph as those of Caltech-256 have, about 40 kB.
WIDTH, HEIGHT, QUALITY = 480, 360, 90


def generated_photos(folder: Path, classes: int) -> Path:
    """A folder of JPEGs with one folder a class: clouds of colour at many scales, as in photographs."""
    generator = np.random.Generator(np.random.Philox(0))
    for number in range(PHOTOS):
        _write(_clouds(generator, WIDTH, HEIGHT, coarsest=4, finest=240), folder, number, classes)
    return folder


def generated_small_images(folder: Path, classes: int) -> Path:
    """The same with images of 32x32 pixels."""
    generator = np.random.Generator(np.random.Philox(1))
    for number in range(SMALL_IMAGES):
        _write(_clouds(generator, 32, 32, coarsest=2, finest=32), folder, number, classes)
    return folder


def packed(folder: Path, records: Path) -> Path:
    """A .rec of the JPEGs of a folder, as they are, with its index."""
    command = [sys.executable, "-m", "imclass", "pack", folder, "--output", records, "--pass-through", "--quiet"]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    return records


def _clouds(generator: np.random.Generator, width: int, height: int, *, coarsest: int, finest: int) -> np.ndarray:
    """(height, width, 3) uint8: noise of doubling frequency and falling strength."""
    picture = np.full((height, width, 3), 128, np.float32)
    cells, strength = coarsest, 60.0
    while cells <= finest:
        noise = generator.normal(0, strength, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, strength = cells * 2, strength * 0.6
    return picture.clip(0, 255).astype(np.uint8)


def _write(picture: np.ndarray, folder: Path, number: int, classes: int) -> None:
    path = folder / f"class{number % classes:02d}" / f"{number}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
        raise OSError(f"{path} cannot be written")
