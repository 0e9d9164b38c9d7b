"""What a run leaves: the model file and the list of unreadable images."""

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imclass import artifact
from imclass.data import PipeChannel, Source
from imclass.errors import DataError, ImageError
from imclass.hyperparameters import to_strings
from imclass.images import BadImage, BadImages, Preprocessing, generated_pixels, preprocess
from imclass.pending_file import PendingFile
from imclass.training.checkpoint import Checkpoints
from imclass.training.job import Job
from imclass.training.piping import count_samples
from imclass.training.process_group import Processes
from imclass.training.progress import Progress
from imclass.training.step import Training
from imclass.version import VERSION

log = logging.getLogger(__name__)

BAD_IMAGES = "bad_images.jsonl"
COMPARED_IMAGES = 16  # on which files of MXNet are compared with the network before they are written


def check_bad_images(bad_images: BadImages, job: Job, processes: Processes) -> None:
    """Put together what all processes found unreadable, and check each data set against the limit.

    Raises:
        DataError: on every process, past the limit.
    """
    for entries in processes.gather(bad_images.entries):
        bad_images.merge(entries)
    for source, declared in ((job.train, job.settings.num_training_samples), (job.validation, None)):
        bad_images.check(source.name, count_samples(source, declared, processes))


def read_bad_images(job: Job) -> list[BadImage]:
    """What the part of this run before its interruption found unreadable."""
    path = job.output / BAD_IMAGES
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [BadImage(line["source"], line["key"], line["reason"]) for line in lines]


def write_bad_images(bad_images: BadImages, job: Job, processes: Processes) -> None:
    """Write unreadable images, one JSON object a line, also when the run failed."""
    if not processes.is_main:
        return
    entries = sorted({*bad_images.entries, *(read_bad_images(job) if job.resume else [])})
    path = job.output / BAD_IMAGES
    lines = [json.dumps({"key": entry.key, "reason": entry.reason, "source": entry.source}) for entry in entries]
    with PendingFile(path) as file:
        file.write("".join(line + "\n" for line in lines).encode())
    if entries:
        log.warning("%d unreadable images are listed in %s", len(entries), path)


def write_artifact(
    job: Job, checkpoints: Checkpoints, training: Training, progress: Progress, path: Path, *, interrupted: bool
) -> None:
    """model.tar.gz: the best epoch's weights (the present ones before the first epoch is done), and what they are."""
    settings = job.settings
    if progress.best.epoch >= 0:
        weights = checkpoints.load_weights(progress.best.file)
        metrics = progress.metrics[progress.best.epoch]
    else:
        weights = {key: value.contiguous().cpu() for key, value in training.evaluated_model.state_dict().items()}
        metrics = {}
    mean, std = training.model.normalisation  # type: ignore[misc]
    description = artifact.Description(
        network=job.network,
        num_layers=settings.num_layers,
        image_shape=settings.image_shape,
        num_classes=job.num_classes,
        class_names=job.class_names,
        multi_label=settings.multi_label,
        normalisation=artifact.Normalisation(mean=mean, std=std),
        resize=settings.resize,
        resize_mode=settings.resize_mode,
        fill_value=job.preprocessing.fill_value,
        hyperparameters=to_strings(settings),
        metrics=metrics,
        epoch=progress.best.epoch + 1,
        imclass_version=VERSION,
    )
    # There is little time after a SIGTERM, and periodic checkpoints are in the folder of their own anyway.
    periodic = [] if interrupted else checkpoints.periodic()
    if settings.artifact_format == "imclass":
        artifact.save(path, description, weights, checkpoints=periodic)
    else:
        own_too = settings.artifact_format == "both"
        images = compared_pixels(job.validation, job.preprocessing)
        artifact.save_mxnet(path, description, weights, images, checkpoints=periodic, own_too=own_too)
        for words in () if own_too else artifact.left_out_by_mxnet(description):
            log.warning("Not in the model file: %s; artifact_format=both keeps it", words)
        tell_epochs(description.epoch, periodic, own_too=own_too)
    log.info("Wrote %s", path)


def compared_pixels(source: Source | PipeChannel, preprocessing: Preprocessing) -> torch.Tensor:
    """Images on which a file of MXNet is compared with the network: (N, C, H, W) float32, 0 to 255.

    They are the first of a data set that can be read, `COMPARED_IMAGES` at most, or generated ones where the images
    came through a pipe and are gone.

    Raises:
        DataError: not one can be read.
    """
    if isinstance(source, PipeChannel):
        return torch.from_numpy(generated_pixels(preprocessing.image_shape)).float()
    pixels: list[NDArray[np.uint8]] = []
    for index in range(len(source)):
        if len(pixels) == COMPARED_IMAGES:
            break
        with suppress(ImageError):  # what validation could not read is listed already
            pixels.append(preprocess(source[index].image, preprocessing))
    if not pixels:
        raise DataError("not one validation image could be read", where=source.name)
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()


def tell_epochs(best: int, periodic: Sequence[Path], *, own_too: bool) -> None:
    """Say which .params file is the best epoch's, when there are several."""
    epochs = sorted({best, *map(artifact.epoch_of, periodic)})
    if len(epochs) > 1:
        opened = "imclass opens the best" if own_too else f"imclass opens the last, {epochs[-1]:04d}"
        log.info(
            "The model file holds the .params of epochs %s; the best is %04d, %s",
            ", ".join(f"{epoch:04d}" for epoch in epochs), best, opened,
        )  # fmt: skip
