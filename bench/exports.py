"""How far exported models answer from the model itself, and how fast, beside PyTorch.

    python bench/exports.py IMAGES [MODEL...] [--count 48] [--threads 2] [--json FILE]

IMAGES is a folder of JPEG or PNG files, of which COUNT are taken at equal distances. Without MODEL, networks of several
depths with random weights are exported, whose batch norms have the statistics of these images; a large network as it is
gives answers of exactly 0 and 1, which would show nothing. For every format: the largest difference of a probability
from PyTorch's, and images per second in batches of 16 with their ratio to PyTorch's.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imclass import artifact
from imclass.artifact.mxnet_writer import MXNET_DTYPES, largest_differences, mxnet_files
from imclass.cli.predict import find_images
from imclass.images import Preprocessing
from imclass.inference.exports import FORMATS
from imclass.inference.exports.comparison import check_answers
from imclass.inference.exports.program import Program, metadata_of
from imclass.inference.pixels import prepare
from imclass.models import ResNet, build, initialise

NETWORKS = (
    ("resnet_v2", 20, (3, 28, 28)),
    ("resnet_v2", 18, (3, 224, 224)),
    ("resnet_v2", 50, (3, 224, 224)),
    ("resnet_v1", 18, (3, 224, 224)),
    ("resnet_v1", 50, (3, 224, 224)),
)
CLASSES = 20
BATCH_SIZE = 16


def pixels_of(paths: list[Path], description: artifact.Description) -> NDArray[np.uint8]:
    """(N, C, H, W): the images as the model sees them."""
    preprocessing = Preprocessing(
        image_shape=description.image_shape,
        resize=description.resize,
        resize_mode=description.resize_mode,
        fill_value=description.fill_value,
    )
    return np.ascontiguousarray(np.stack([prepare(path, preprocessing) for path in paths]).transpose(0, 3, 1, 2))


def random_models(paths: list[Path]) -> Iterator[tuple[artifact.Description, ResNet]]:
    """Networks with random weights that tell the images apart."""
    for family, depth, shape in NETWORKS:
        network = build(family, depth, shape, CLASSES)
        mean, std = network.normalisation
        description = artifact.Description(
            network=family,
            num_layers=depth,
            image_shape=shape,
            num_classes=CLASSES,
            normalisation=artifact.Normalisation(mean=mean, std=std),
            resize=shape[1] * 8 // 7,
        )
        settle(network, torch.from_numpy(pixels_of(paths, description)).float())
        yield description, network.eval()


@torch.no_grad()
def settle(network: ResNet, images: torch.Tensor) -> None:
    """Give a network random weights and its batch norms the statistics of images."""
    initialise(network, torch.Generator().manual_seed(0))
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain average over batches
    network.train()
    for batch in torch.split(images, BATCH_SIZE):
        network(batch)
    network.head.weight.mul_(0.5)


def images_per_second(answer: Callable[[NDArray[np.uint8]], object], images: NDArray[np.uint8]) -> float:
    """The better of two passes, after a first batch that is not counted."""
    batches = [images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
    answer(batches[0])
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        for batch in batches:
            answer(batch)
        seconds.append(time.perf_counter() - start)
    return len(images) / min(seconds)


def rows_of(
    description: artifact.Description, network: ResNet, images: NDArray[np.uint8]
) -> Iterator[dict[str, object]]:
    """One row for each format."""
    program = Program(network, multi_label=description.multi_label).eval()

    def eager(batch: NDArray[np.uint8]) -> object:
        with torch.inference_mode():
            return program(torch.from_numpy(batch))

    peer = images_per_second(eager, images)
    for name, kind in FORMATS.items():
        answer = kind.open(kind.write(program, metadata_of(description)))
        difference = check_answers(program, answer, images, where=name)
        speed = images_per_second(answer, images)
        yield {"format": name, "difference": difference, "images_per_second": speed, "ratio_to_torch": speed / peer}
    if description.network == "resnet_v2":
        state, floats = network.state_dict(), torch.from_numpy(images).float()
        for dtype in MXNET_DTYPES:
            files = mxnet_files(description, state, dtype)
            difference, _ = largest_differences(description, state, files, floats)
            yield {"format": f"mxnet {dtype}", "difference": difference}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found, problems = find_images([arguments.images])
    if problems:
        parser.error(problems[0])
    paths = found[:: -(-len(found) // arguments.count)]
    models = (artifact.load(path) for path in arguments.models) if arguments.models else random_models(paths)
    results = []
    for description, network in models:
        title = f"{description.network} {description.num_layers} {','.join(map(str, description.image_shape))}"
        for row in rows_of(description, network, pixels_of(paths, description)):
            results.append({"network": title, **row})
            speed = f"{row['images_per_second']:8.1f} images/s  x{row['ratio_to_torch']:.2f}" if len(row) > 2 else ""
            print(f"{title:<26} {row['format']:<14} {row['difference']:.1e}  {speed}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
