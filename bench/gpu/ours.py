"""imclass's own step, on batches that are on the device already and on batches from records."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench.gpu.pictures import CLASSES
from imclass.data import Source
from imclass.hyperparameters import parse
from imclass.images import BadImages, Batch, Loader
from imclass.training.job import Job
from imclass.training.preparation import loaders, make_sampler, prepare
from imclass.training.process_group import Processes
from imclass.training.run import make_ready
from imclass.training.step import Training, train_step

BATCHES = 4  # different ones of random pixels
RATE = 0.01


@dataclass(frozen=True)
class Settings:
    """What is trained, and how.

    Attributes:
        batch_size: images of a step, over all processes.
        compile, decoder: as the hyperparameters.
    """

    network: str
    num_layers: int
    batch_size: int
    side: int
    precision_dtype: str
    compile: str
    decoder: str


class Unread:
    """In place of a source, where no image is read."""

    name = "random pixels"
    labels = np.zeros((1, 1), np.float32)


class Trainer:
    """A training that is ready for its first step.

    Args:
        source: of the images; None for steps on random pixels only.
    """

    def __init__(self, settings: Settings, processes: Processes, source: Source | None, threads: int = 0) -> None:
        values = {
            "num_classes": CLASSES,
            "num_training_samples": max(settings.batch_size, 1 if source is None else len(source)),
            "image_shape": (3, settings.side, settings.side),
            "resize": settings.side * 8 // 7,
            "augmentation_type": "crop",
            "mini_batch_size": settings.batch_size,
            "network": settings.network,
            "num_layers": settings.num_layers,
            "precision_dtype": settings.precision_dtype,
            "compile": settings.compile,
            "decoder": settings.decoder,
        }
        data = Unread() if source is None else source
        self.job = Job(data, data, parse(values), settings.network, None, Path(tempfile.gettempdir()), threads=threads)  # type: ignore[arg-type]
        self.processes = processes
        self.training: Training = prepare(self.job, processes)
        compiled = make_ready(self.training, 0)
        self.compile_seconds = compiled.seconds if compiled else None

    def on_random_pixels(self) -> Iterator[int]:
        """Steps on batches that are on the device, as the loader would have put them there."""
        share = self.processes.share(self.training.batch_size)
        count = share.stop - share.start
        generator = torch.Generator(self.processes.device).manual_seed(self.processes.rank)
        batches = [self._random_batch(count, generator) for _ in range(BATCHES)]
        step = 0
        while True:
            train_step(self.training, batches[step % BATCHES], step, RATE)
            step += 1
            yield count

    def from_records(self) -> Iterator[int]:
        """Steps on batches of the loader, pass after pass."""
        bad_images = BadImages(0.0)
        sampler = make_sampler(self.job, self.training)
        loader: Loader = loaders(self.job, bad_images, self.processes)[0]
        with loader:
            for step, batch in enumerate(loader.batches(sampler.requests(0, 1 << 40, self.processes))):
                train_step(self.training, batch, step, RATE)
                yield len(batch.indices)

    def _random_batch(self, count: int, generator: torch.Generator) -> Batch:
        device, shape = self.processes.device, (count, *self.job.settings.image_shape)
        images = torch.randint(0, 256, shape, dtype=torch.uint8, device=device, generator=generator)
        labels = torch.randint(0, CLASSES, (count, 1), device=device, generator=generator).float()
        return Batch(images.contiguous(memory_format=torch.channels_last), labels, np.arange(count), planned=count)
