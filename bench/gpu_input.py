"""Images per second that the loader delivers to a GPU: its decoder against the CPU threads and against torchvision.

    python -m bench.gpu_input IMAGES [--ways cpu hardware auto torchvision] [--images 4096] [--batch-size 256]
                                     [--threads 16] [--rounds 3] [--json FILE]

IMAGES is a folder of photographs. JPEGs of ImageNet's usual size, 500x375 and about 110 kB, are made from them, packed
into a .rec file in a temporary folder, and read from the page cache: resize to 256, random cut of 224x224, mirror. In
every round each way delivers all images once, in turn; the medians and their ratios are printed. The peer is the usual
pipeline: PIL, torchvision.transforms and a DataLoader with as many processes as there are threads.

Memory is taken after every round. Printed is what is in use after the first, and by how much more after the middle one
and the last: what goes on growing has grown twice as much by then. `--ways hardware --rounds 63` are 1,000 batches from
first to last. `memory_in_use` says who holds what.
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.gpu import peers, pictures
from bench.gpu.timing import check_gpu
from imclass.data import Source, open_source
from imclass.device import choose_device
from imclass.images import AUGMENTATIONS, BadImages, Loader, Preprocessing, Request
from imclass.images.gpu.opening import DecoderChoice

PREPROCESSING = Preprocessing((3, 224, 224), 256)

WAYS = ("cpu", "hardware", "auto", "torchvision")
Way = Callable[[int], int]  # number of the round -> number of images delivered
MIB = 1 << 20


def main() -> None:
    arguments = parse_arguments()
    check_gpu("cuda")
    if "torchvision" in arguments.ways:
        peers.prepare_processes("bench.gpu_input")
    device = choose_device("cuda")
    with tempfile.TemporaryDirectory() as folder:
        jpegs = pictures.make_jpegs(arguments.folder)
        record_file = pictures.write_records(jpegs, arguments.images, Path(folder) / "photographs.rec")
        source = open_source(record_file)
        size = record_file.stat().st_size / len(source)
        kind = f"JPEGs of {pictures.WIDTH}x{pictures.HEIGHT}, {size / 1000:.0f} kB"
        print(f"{len(source)} {kind}; {torch.cuda.get_device_name(device)}")
        ways = {name: make_way(name, source, device, arguments) for name in arguments.ways}
        rates, memory = measure(ways, arguments.rounds, device)
    report(rates, memory, arguments.json)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Images per second that the loader delivers to a GPU.")
    parser.add_argument("folder", type=Path, help="folder of photographs", metavar="IMAGES")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--augmentation", choices=list(AUGMENTATIONS), default="crop")
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser.parse_args()


def make_way(name: str, source: Source, device: torch.device, arguments: argparse.Namespace) -> Way:
    if name == "torchvision":
        return torchvision_pipeline(source, device, arguments)
    return passing(make_loader(source, name, device, arguments), source, arguments)  # type: ignore[arg-type]


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
    )

    def deliver(_: int) -> int:
        return sum(len(images.to(device, non_blocking=True)) for images, _ in loader)

    return deliver


def measure(
    ways: dict[str, Way], rounds: int, device: torch.device
) -> tuple[dict[str, list[float]], list[dict[str, float]]]:
    """Images per second of each way in each round, and the memory in use after each round.

    A first round that does not count warms everything up.
    """
    rates: dict[str, list[float]] = {name: [] for name in ways}
    memory: list[dict[str, float]] = []
    for number in range(rounds + 1):
        for name, deliver in ways.items():
            torch.cuda.synchronize(device)
            start = time.perf_counter()
            images = deliver(number)
            torch.cuda.synchronize(device)
            if number > 0:
                rates[name].append(images / (time.perf_counter() - start))
        if number > 0:
            memory.append(memory_in_use(device))
    return rates, memory


def memory_in_use(device: torch.device) -> dict[str, float]:
    """MiB in use, by whom.

    host           this process, without mapped files and page-locked memory
    page-locked    by PyTorch, on the host
    gpu            all processes
    reserved       by PyTorch, on the GPU
    allocated      of what is reserved: by tensors
    others         the rest of the GPU's: nvJPEG, the driver, other processes
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    anonymous = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))  # kB
    free, total = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device)
    return {
        "host": anonymous / 1024,
        "page-locked": torch.cuda.host_memory_stats()["allocated_bytes.current"] / MIB,
        "gpu": (total - free) / MIB,
        "reserved": reserved / MIB,
        "allocated": torch.cuda.memory_allocated(device) / MIB,
        "others": (total - free - reserved) / MIB,
    }


def report(rates: dict[str, list[float]], memory: list[dict[str, float]], path: Path | None) -> None:
    medians = {name: statistics.median(values) for name, values in rates.items()}
    compared = [name for name in ("cpu", "torchvision") if name in medians]
    print(f"{'decoder':<14}{'images/s':>10}" + "".join(f"{'to ' + name:>16}" for name in compared))
    for name, median in medians.items():
        print(f"{name:<14}{median:>10,.0f}" + "".join(f"{median / medians[other]:>16.2f}" for other in compared))
    report_memory(memory)
    if path:
        results = {"images_per_second": rates, "memory_mib": memory, "device": torch.cuda.get_device_name(0)}
        path.write_text(json.dumps(results, indent=1))


def report_memory(memory: list[dict[str, float]]) -> None:
    """What is in use after the first round, and how much more after the middle one and the last."""
    first, middle, last = memory[0], memory[len(memory) // 2], memory[-1]
    print(f"{'memory, MiB':<14}{'round 1':>10}{f'to {len(memory) // 2 + 1}':>16}{f'to {len(memory)}':>16}")
    for name, value in first.items():
        print(f"{name:<14}{value:>10,.0f}{middle[name] - value:>+16,.1f}{last[name] - value:>+16,.1f}")


if __name__ == "__main__":
    main()
