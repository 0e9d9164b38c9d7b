"""Pipe mode beside File mode on the same data: images per second, and memory over many epochs.

    python bench/pipe.py TRAIN.rec [--samples 10000] [--epochs 100] [--epoch-samples 1024] [--passes 3] [--json FILE]

First the loader alone delivers batches with random crops, from the file and from FIFOs that another process writes:
once with every image decoded from its bytes, as photographs are in both modes, and once with File mode's cache of
decoded small images, which a stream cannot have. Then a small network trains for an epoch in both modes, File mode with
its cache. Last, a process of its own trains for EPOCHS epochs in Pipe mode, and its resident memory after the first and
after the last is printed. The best of several passes counts; modes take turns.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from imclass.data import LabelRules, Pass, PipeChannel, RecordWriter, Source, open_source, pack_image
from imclass.images import AUGMENTATIONS, BadImages, Loader, Preprocessing, Request, dimensions
from imclass.training import train

WRITER = Path(__file__).parents[1] / "tests" / "pipe_writer.py"
BATCH_SIZE = 64
KIB_A_MIB = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--samples", type=int, default=10_000, help="images of a pass (default: 10000)")
    parser.add_argument("--epochs", type=int, default=100, help="epochs of the memory run; 0 leaves it out")
    parser.add_argument("--epoch-samples", type=int, default=1024, help="images of an epoch of the memory run")
    parser.add_argument("--passes", type=int, default=3, help="passes through the data of each measurement")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = first_samples(open_source(arguments.data), arguments.samples, folder / "data.rec")
        results = {"loader": loader_rates(data, folder, arguments.passes)}
        results["training"] = training_rates(data, folder, arguments.passes)
        if arguments.epochs:
            results["memory"] = memory(data, folder, arguments.epochs, arguments.epoch_samples)
    for name, rates in list(results.items())[:2]:
        for mode, rate in rates.items():
            print(f"{name:<9} {mode:<34} {rate:>10,.0f} images/s   {rate / rates['File mode']:.2f} of File mode")
    for when, mib in results.get("memory", {}).items():  # empty without a memory run
        print(f"memory    {when:<34} {mib:>10,.0f} MiB")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def first_samples(source: Source, samples: int, path: Path) -> Path:
    """The first samples of a source as a `.rec` file."""
    with RecordWriter(path) as writer:
        for index in range(min(samples, len(source))):
            sample = source[index]
            writer.write(index, pack_image(float(sample.label[0]), sample.image, index))
    return path


@contextmanager
def writing(data: Path, prefix: Path, fifos: int) -> Iterator[None]:
    """A process that writes the file to FIFO after FIFO while the block lasts."""
    process = subprocess.Popen([sys.executable, str(WRITER), str(data), str(prefix), str(fifos)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def loader_rates(data: Path, folder: Path, passes: int) -> dict[str, float]:
    """Images per second that the loader delivers in each mode."""
    source = open_source(data)
    classes = int(source.labels.max()) + 1
    preprocessing = geometry(source)
    prefix = folder / "loader"
    channel = PipeChannel("train", prefix, deadline_seconds=60)
    rules = LabelRules("multi-hot", classes, multi_label=False)
    steps = len(source) // BATCH_SIZE
    options = {"augmentation": AUGMENTATIONS["crop"], "device": torch.device("cpu"), "bad_images": BadImages(1.0)}
    filed = Loader(source, preprocessing, cache_bytes=0, **options)
    cached = Loader(source, preprocessing, **options)
    piped = Loader(channel, preprocessing, samples=len(source), **options)
    rates: dict[str, list[float]] = {"File mode": [], "Pipe mode": [], "File mode, decoded images kept": []}
    with writing(data, prefix, passes), filed, cached, piped:
        for number in range(passes):
            order = [
                (chosen, np.full(BATCH_SIZE, number))
                for chosen in np.random.default_rng(number)
                .permutation(len(source))[: steps * BATCH_SIZE]
                .reshape(steps, BATCH_SIZE)
            ]
            one = Pass(number, len(source), range(steps), BATCH_SIZE, 2048, 0, rules)
            rates["File mode"].append(rate(filed, order))
            rates["Pipe mode"].append(rate(piped, channel.batches(one)))
            rates["File mode, decoded images kept"].append(rate(cached, order))
    return {mode: max(measured) for mode, measured in rates.items()}


def geometry(source: Source) -> Preprocessing:
    """Small images keep 7/8 of their size, others are cut to 224x224 after resizing to 256."""
    width, height = dimensions(source[0].image)
    if max(width, height) <= 64:
        return Preprocessing((3, height * 7 // 8, width * 7 // 8))
    return Preprocessing((3, 224, 224), 256)


def rate(loader: Loader, requests: Iterable[Request]) -> float:
    """Images per second of one pass."""
    began = time.perf_counter()
    images = sum(len(batch.indices) for batch in loader.batches(requests))
    return images / (time.perf_counter() - began)


def settings(data: Path, samples: int, epochs: int) -> dict[str, object]:
    source = open_source(data)
    channels, height, width = geometry(source).image_shape
    return {
        "num_layers": 8 if height <= 64 else 18,
        "image_shape": f"{channels},{height},{width}",
        "num_classes": int(source.labels.max()) + 1,
        "num_training_samples": min(samples, len(source)),
        "mini_batch_size": BATCH_SIZE,
        "epochs": epochs,
        "learning_rate": 0.05,
        "augmentation_type": "crop",
        **({} if height <= 64 else {"resize": 256}),
    }


def training_rates(data: Path, folder: Path, passes: int) -> dict[str, float]:
    """Images per second of the best of several one-epoch training runs in each mode."""
    validation = first_samples(open_source(data), 256, folder / "validation.rec")
    hyperparameters = settings(data, len(open_source(data)), 1)
    rates: dict[str, list[float]] = {"File mode": [], "Pipe mode": []}
    for number in range(passes):
        for mode, measured in rates.items():
            prefix = folder / f"training{number}"
            with writing(data, prefix, 1):
                run = train(
                    channels={"train": data if mode == "File mode" else prefix, "validation": validation},
                    input_data_config={"train": {"TrainingInputMode": mode.split()[0]}},
                    hyperparameters=hyperparameters,
                    output=folder / f"{mode} {number}",
                    pipe_deadline=60,
                    quiet=True,
                )
            measured.append(run.metrics[0]["images_per_second"])
    return {mode: max(measured) for mode, measured in rates.items()}


def memory(data: Path, folder: Path, epochs: int, epoch_samples: int) -> dict[str, float]:
    """Resident memory in MiB of a process that trains in Pipe mode, after the first and after the last epoch."""
    prefix, output = folder / "memory", folder / "run"
    values = [f"--set={name}={value}" for name, value in settings(data, epoch_samples, epochs).items()]
    with writing(data, prefix, epochs):
        process = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "imclass",
                    "train",
                    "--output",
                    str(output),
                    "--quiet",
                    "--pipe-deadline",
                    "60",
                ),
                *(f"--channel=train={prefix}", f"--channel=validation={folder / 'validation.rec'}"),
                *("--input-mode", "train=Pipe", *values),
            ]
        )
        try:
            measured = watch(process, output / "metrics.jsonl", epochs)
        finally:
            process.kill()
            process.wait()
    return {f"after epoch {epoch} of {epochs}": measured[epoch] for epoch in (1, epochs // 2, epochs)}


def watch(process: subprocess.Popen[bytes], metrics: Path, epochs: int) -> dict[int, float]:
    """Resident memory in MiB after each epoch, the last one as seen just before it ended."""
    measured: dict[int, float] = {}
    while process.poll() is None:
        done = len(metrics.read_bytes().splitlines()) if metrics.exists() else 0
        resident = resident_mib(process.pid)
        if resident and done and done not in measured:
            measured[done] = resident
        if resident and done + 1 == epochs:
            measured[epochs] = resident
        time.sleep(0.02)
    if process.returncode or 1 not in measured or epochs not in measured:
        raise SystemExit(f"the memory run failed with status {process.returncode}")
    measured.setdefault(epochs // 2, measured[max(epoch for epoch in measured if epoch <= max(epochs // 2, 1))])
    return measured


def resident_mib(pid: int) -> float:
    """Resident memory of a process; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / KIB_A_MIB


if __name__ == "__main__":
    main()
