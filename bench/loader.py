"""Images per second that the loader delivers, by augmentation type.

    python bench/loader.py SOURCE [--image-shape 3,224,224] [--resize 256] [--batch-size 64] [--threads 0] [--passes 3]

SOURCE is anything that `imclass train` reads. By default photographs are resized to 256 and cut to 224x224, and a data
set whose first image has at most 64x64 pixels keeps its size and gets a border of 4 pixels before the cut. The best
pass counts, so that reading from a cold disk, or decoding a small data set once, is not what is measured.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import torch

from imclass.data import Source, open_source
from imclass.images import (
    AUGMENTATIONS,
    Augmentation,
    BadImages,
    Loader,
    Preprocessing,
    Request,
    dimensions,
    with_pad_size,
)

SMALL_SIDE = 64


def main() -> None:
    arguments = parse_arguments()
    source = open_source(arguments.source)
    preprocessing, pad_size = geometry(source, arguments)
    print(
        f"{len(source)} images in {source.name}, {torch.device(arguments.device)}, {preprocessing}, border {pad_size}"
    )
    for name, augmentation in AUGMENTATIONS.items():
        rate, unreadable = measure(source, preprocessing, with_pad_size(augmentation, pad_size), arguments)
        print(f"{name:<22}{rate:>10,.0f} images/s" + (f"  ({unreadable} unreadable)" if unreadable else ""))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Images per second that the loader delivers.")
    parser.add_argument("source", help="data set to read")
    parser.add_argument("--image-shape", help="channels,height,width (default: chosen from the first image)")
    parser.add_argument("--resize", type=int, help="shorter side before the cut")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0, help="decoding threads (default: one for each core)")
    parser.add_argument("--passes", type=int, default=3, help="passes through the data (default: 3)")
    parser.add_argument("--device", default="cpu", help="where batches are delivered (default: cpu)")
    return parser.parse_args()


def geometry(source: Source, arguments: argparse.Namespace) -> tuple[Preprocessing, int]:
    """Preprocessing and border width: as asked for, or what suits the size of the first image."""
    if arguments.image_shape:
        channels, height, width = map(int, arguments.image_shape.split(","))
        return Preprocessing((channels, height, width), arguments.resize), 0
    width, height = dimensions(source[0].image)
    if max(width, height) <= SMALL_SIDE:
        return Preprocessing((3, height, width), arguments.resize), 4
    return Preprocessing((3, 224, 224), arguments.resize or 256), 0


def measure(
    source: Source, preprocessing: Preprocessing, augmentation: Augmentation, arguments: argparse.Namespace
) -> tuple[float, int]:
    """Images per second of the best pass, and the number of unreadable images."""
    bad_images = BadImages(1.0)
    rates = []
    with Loader(
        source,
        preprocessing,
        augmentation=augmentation,
        threads=arguments.threads,
        device=torch.device(arguments.device),
        bad_images=bad_images,
    ) as loader:
        for number in range(arguments.passes):
            start = time.perf_counter()
            images = sum(len(batch.indices) for batch in loader.batches(shuffled(source, number, arguments.batch_size)))
            rates.append(images / (time.perf_counter() - start))
    return max(rates), len(bad_images.entries)


def shuffled(source: Source, number: int, batch_size: int) -> Iterator[Request]:
    """Requests for one pass in random order."""
    order = np.random.default_rng(number).permutation(len(source))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        yield indices, np.full(len(indices), number)


if __name__ == "__main__":
    main()
