"""JPEGs of ImageNet's size, as records for imclass and as files for its peers."""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from imclass.data.recordio import pack_image
from imclass.data.recordio_writer import RecordWriter

WIDTH, HEIGHT = 500, 375  # the commonest size of ImageNet's images
BYTES = 110_000  # their mean
DIFFERENT = 256  # images; records and files repeat them
CLASSES = 1000
QUALITIES = range(50, 101)


def make_jpegs(photos: Path, count: int = DIFFERENT) -> list[bytes]:
    """JPEGs of photographs in a folder, enlarged, each in the quality that comes nearest to `BYTES`.

    Raises:
        FileNotFoundError: there is no photograph.
    """
    paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not paths:
        raise FileNotFoundError(f"there is no photograph in {photos}")
    chosen = [paths[index] for index in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)]
    return [_encoded(path) for path in chosen]


def _encoded(path: Path) -> bytes:
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise ValueError(f"{path} cannot be decoded")
    # Enlarging leaves no fine detail, which photographs have and decoders take their time for.
    noise = np.random.Generator(np.random.Philox(0)).normal(0, 6, (HEIGHT, WIDTH, 3))
    enlarged = cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) + noise
    picture = np.clip(enlarged, 0, 255).astype(np.uint8)
    low, high = QUALITIES.start, QUALITIES.stop - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if len(_jpeg(picture, middle)) < BYTES else (low, middle)
    return _jpeg(picture, low)


def _jpeg(picture: np.ndarray, quality: int) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def write_records(jpegs: Sequence[bytes], count: int, path: Path) -> Path:
    """`count` records of the JPEGs in turn, with labels of `CLASSES` classes."""
    with RecordWriter(path) as writer:
        for number in range(count):
            writer.write(number, pack_image(number % CLASSES, jpegs[number % len(jpegs)], image_id=number))
    return path


def write_folders(jpegs: Sequence[bytes], count: int, folder: Path) -> Path:
    """The same as files, one folder a class; files with the same content are links to one."""
    originals = folder.with_name(f"{folder.name}-originals")
    originals.mkdir(parents=True)
    for number, jpeg in enumerate(jpegs):
        (originals / f"{number}.jpg").write_bytes(jpeg)
    for number in range(count):
        place = folder / f"{number % CLASSES:04d}"
        place.mkdir(parents=True, exist_ok=True)
        os.link(originals / f"{number % len(jpegs)}.jpg", place / f"{number}.jpg")
    return folder
