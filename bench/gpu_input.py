"""Images per second that the loader delivers to a GPU: its decoder against the CPU threads and against torchvision.

    python bench/gpu_input.py IMAGES [--images 4096] [--batch-size 256] [--threads 16] [--rounds 3] [--json FILE]

IMAGES is a folder of photographs. JPEGs of ImageNet's usual size, 500x375 and about 110 kB, are made from them, packed
into a .rec file in a temporary folder, and read from the page cache: resize to 256, random cut of 224x224, mirror. In
every round each way delivers all images once, in turn; the medians and their ratios are printed. The peer is the usual
pipeline: PIL, torchvision.transforms and a DataLoader with as many processes as there are threads.
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from imclass.data import Source, open_source
from imclass.data.recordio import pack_image
from imclass.data.recordio_writer import RecordWriter
from imclass.images import AUGMENTATIONS, BadImages, Loader, Preprocessing, Request
from imclass.images.gpu.opening import DecoderChoice

WIDTH, HEIGHT, BYTES = 500, 375, 110_000
PREPROCESSING = Preprocessing((3, 224, 224), 256)
VARIANTS = 64  # different JPEGs; the rest are repetitions

Way = Callable[[int], int]  # number of the round -> number of images delivered


def main() -> None:
    arguments = parse_arguments()
    device = torch.device("cuda", 0)
    with tempfile.TemporaryDirectory() as folder:
        record_file = write_records(arguments.folder, Path(folder), arguments.images)
        source = open_source(str(record_file))
        size = record_file.stat().st_size / len(source)
        print(f"{len(source)} JPEGs of {WIDTH}x{HEIGHT}, {size / 1000:.0f} kB; {torch.cuda.get_device_name(device)}")
        loaders = {choice: make_loader(source, choice, device, arguments) for choice in ("cpu", "hardware", "auto")}
        ways: dict[str, Way] = {name: passing(loader, source, arguments) for name, loader in loaders.items()}
        ways["torchvision"] = torchvision_pipeline(source, device, arguments)
        rates = measure(ways, arguments.rounds, device)
    report(rates, arguments.json)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Images per second that the loader delivers to a GPU.")
    parser.add_argument("folder", type=Path, help="folder of photographs", metavar="IMAGES")
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--augmentation", choices=list(AUGMENTATIONS), default="crop")
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser.parse_args()


def write_records(photographs: Path, folder: Path, images: int) -> Path:
    """A .rec file of `images` JPEGs."""
    paths = sorted(path for path in photographs.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    variants = [imagenet_like(path) for path in paths[:: max(1, len(paths) // VARIANTS)][:VARIANTS]]
    record_file = folder / "photographs.rec"
    with RecordWriter(record_file) as writer:
        for number in range(images):
            jpeg = variants[number % len(variants)]
            writer.write(number, pack_image(number % len(variants), jpeg, image_id=number))
    return record_file


def imagenet_like(path: Path) -> bytes:
    """A photograph enlarged to 500x375, with as much grain as gives it about 110 kB at quality 90."""
    pixels = cv2.resize(cv2.imread(str(path)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 1, pixels.shape)
    for grain in range(0, 30, 2):
        levels = np.clip(pixels + grain * noise, 0, 255).astype(np.uint8)
        jpeg = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        if len(jpeg) >= BYTES:
            break
    return jpeg


def make_loader(source: Source, choice: DecoderChoice, device: torch.device, arguments: argparse.Namespace) -> Loader:
    return Loader(
        source,
        PREPROCESSING,
        augmentation=AUGMENTATIONS[arguments.augmentation],
        threads=arguments.threads,
        device=device,
        bad_images=BadImages(0.0),
        decoder=choice,
    )


def passing(loader: Loader, source: Source, arguments: argparse.Namespace) -> Way:
    """One pass of a loader through the data."""

    def requests(number: int) -> Iterator[Request]:
        order = np.random.default_rng(number).permutation(len(source))
        for start in range(0, len(order), arguments.batch_size):
            indices = order[start : start + arguments.batch_size]
            yield indices, np.full(len(indices), number)

    def deliver(number: int) -> int:
        with loader:
            return sum(len(batch.indices) for batch in loader.batches(requests(number)))

    return deliver


class Records(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """The usual way to read images for training."""

    def __init__(self, source: Source) -> None:
        from torchvision import transforms

        self.source = source
        self.transform = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.RandomCrop(224),
                transforms.RandomHorizontalFlip(),
                transforms.PILToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        sample = self.source[index]
        return self.transform(Image.open(io.BytesIO(sample.image)).convert("RGB")), int(sample.label[0])


def torchvision_pipeline(source: Source, device: torch.device, arguments: argparse.Namespace) -> Way:
    """One pass of the usual pipeline; its processes live on between rounds."""
    loader = torch.utils.data.DataLoader(
        Records(source),
        arguments.batch_size,
        shuffle=True,
        num_workers=arguments.threads,
        pin_memory=True,
        persistent_workers=True,
        multiprocessing_context="forkserver",
    )

    def deliver(_: int) -> int:
        return sum(len(images.to(device, non_blocking=True)) for images, _ in loader)

    return deliver


def measure(ways: dict[str, Way], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Images per second of each way in each round. A first round that does not count warms everything up."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, deliver in ways.items():
            torch.cuda.synchronize(device)
            start = time.perf_counter()
            images = deliver(number)
            torch.cuda.synchronize(device)
            if number > 0:
                rates[name].append(images / (time.perf_counter() - start))
    return rates


def report(rates: dict[str, list[float]], path: Path | None) -> None:
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"{'decoder':<14}{'images/s':>10}{'to cpu':>10}{'to torchvision':>16}")
    for name, median in medians.items():
        print(f"{name:<14}{median:>10,.0f}{median / medians['cpu']:>10.2f}{median / medians['torchvision']:>16.2f}")
    if path:
        path.write_text(json.dumps({"images_per_second": rates, "device": torch.cuda.get_device_name(0)}, indent=1))


if __name__ == "__main__":
    main()
