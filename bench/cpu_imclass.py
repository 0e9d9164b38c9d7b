"""The side of imclass in `bench/cpu.py`, a contestant as `bench/rounds.py` asks for.

python bench/cpu_imclass.py train|load|infer|memory SETTINGS
"""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from imclass.data import Source, open_source
from imclass.hyperparameters import parse
from imclass.images import AUGMENTATIONS, BadImages, Loader, Preprocessing, Request
from imclass.inference.serving.backends import BACKENDS
from imclass.inference.serving.opening import load_model
from imclass.memory import keep_memory
from imclass.training.job import Job
from imclass.training.loop import EpochState, train_epoch
from imclass.training.metrics import RunningSums, Totals
from imclass.training.preparation import loaders, make_sampler, prepare
from imclass.training.process_group import Processes
from rounds import Settings, Work, answer

STEPS = 1_000_000  # of an epoch, of which the clock lets a round take no more than MOST_STEPS
MOST_STEPS = 10_000
MEBIBYTE = 1 << 20


class Silent:
    """Nobody watches."""

    def step(self, state: EpochState) -> None: ...

    def batch(self, state: EpochState, totals: Totals) -> None: ...


def train(settings: Settings) -> Work:
    """`train_epoch` with all that a run gives it, from the records to the updated weights."""
    batch_size = settings["mini_batch_size"]
    source = open_source(Path(settings["records"]))
    given = {
        "num_classes": settings["num_classes"],
        "num_training_samples": STEPS * batch_size,
        "num_layers": settings["num_layers"],
        "image_shape": settings["image_shape"],
        "resize": settings["resize"],
        "augmentation_type": settings["augmentation_type"],
        "mini_batch_size": batch_size,
        "learning_rate": 0.01,
        "precision_dtype": settings["precision_dtype"],
        "epochs": 1,
    }
    hyperparameters = parse({name: value for name, value in given.items() if value is not None})
    job = Job(source, source, hyperparameters, "resnet_v2", None, Path("nothing-is-written"))
    keep_memory()  # as `join` does
    processes = Processes(rank=0, world_size=1, local_rank=0, local_world_size=1, device=torch.device("cpu"))
    training = prepare(job, processes)
    loader, _ = loaders(job, BadImages(0.0), processes)
    sampler = make_sampler(job, training)
    rounds = itertools.count()

    def work(seconds: float) -> int:
        deadline = time.perf_counter() + seconds
        sums = RunningSums(processes.device, None, False)
        state = EpochState(epoch=0, step=next(rounds) * MOST_STEPS, sums=sums)  # other images in every round
        first = state.step
        train_epoch(
            training, loader, sampler, state,
            stop_requested=lambda: time.perf_counter() > deadline, observer=Silent(),
        )  # fmt: skip
        return (state.step - first) * batch_size

    work(0.01)
    return work


def shuffled_pass(samples: int, number: int, batch_size: int) -> Iterator[Request]:
    """Requests for one pass in random order."""
    order = np.random.default_rng(number).permutation(samples)
    for start in range(0, samples, batch_size):
        indices = order[start : start + batch_size]
        yield indices, np.full(len(indices), number)


def loader_of(source: Source, settings: Settings) -> Loader:
    return Loader(
        source,
        Preprocessing(tuple(settings["image_shape"]), settings["resize"]),
        augmentation=AUGMENTATIONS[settings["augmentation_type"]],
        device=torch.device("cpu"),
        bad_images=BadImages(0.0),
    )


def load(settings: Settings) -> Work:
    """Whole passes through the data."""
    source = open_source(Path(settings["records"]))
    loader = loader_of(source, settings)
    passes = itertools.count()

    def work(seconds: float) -> int:
        began, images = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            for batch in loader.batches(shuffled_pass(len(source), next(passes), settings["mini_batch_size"])):
                images += len(batch.indices)
        return images

    work(0.01)
    return work


def infer(settings: Settings) -> Work:
    """Probabilities of pixels that are there already."""
    keep_memory()  # as prediction does
    batch_size = settings["mini_batch_size"]
    backend = BACKENDS[settings["backend"]].open(
        load_model(Path(settings["model"])), torch.device("cpu"), settings["precision_dtype"], batch_size
    )
    channels, height, width = settings["image_shape"]
    pixels = np.random.default_rng(0).integers(0, 256, (batch_size, height, width, channels), np.uint8)

    def work(seconds: float) -> int:
        began, images = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            images += len(backend.predict(pixels))
        return images

    work(0.01)
    return work


def memory(settings: Settings) -> Work:
    """One pass, told not as images but as the most memory in MiB that the process took for it."""
    source = open_source(Path(settings["records"]))
    before = own_memory()
    most = before
    with loader_of(source, settings) as loader:
        for batch in loader.batches(shuffled_pass(len(source), 0, settings["mini_batch_size"])):
            assert len(batch.indices)
            most = max(most, own_memory())
    return lambda seconds: (most - before) // MEBIBYTE


def own_memory() -> int:
    """Bytes that this process holds, without the pages of files, which the kernel drops when it needs the room."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) << 10


if __name__ == "__main__":
    answer({"train": train, "load": load, "infer": infer, "memory": memory})
