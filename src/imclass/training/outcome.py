"""What a run leaves: the model file and the list of unreadable images."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from imclass import artifact, models
from imclass.data import PipeChannel, Source
from imclass.errors import DataError, ImageError
from imclass.hyperparameters import Hyperparameters, parse, to_strings
from imclass.images import BadImage, BadImages, Preprocessing, generated_pixels, preprocess
from imclass.pending_file import PendingFile
from imclass.training.answers import FILE as ANSWERS
from imclass.training.answers import read_answers, temperature_of
from imclass.training.checkpoint import LAST, Checkpoints, parse_state
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


def describe_model(
    settings: Hyperparameters,
    class_names: tuple[str, ...] | None,
    progress: Progress,
    temperature: float | None = None,
) -> artifact.Description:
    """What the weights of a run's best epoch are of.

    Args:
        settings: complete, with num_classes and the family of the network.
        temperature: fitted on the validation images; None where it was not.
    """
    assert settings.num_classes is not None
    with torch.device("meta"):
        network = models.build(settings.network, settings.num_layers, settings.image_shape, settings.num_classes)
    mean, std = network.normalisation
    preprocessing = Preprocessing(settings.image_shape, settings.resize, settings.resize_mode)
    return artifact.Description(
        network=settings.network,
        num_layers=settings.num_layers,
        image_shape=settings.image_shape,
        num_classes=settings.num_classes,
        class_names=class_names,
        multi_label=settings.multi_label,
        normalisation=artifact.Normalisation(mean=mean, std=std),
        resize=settings.resize,
        resize_mode=settings.resize_mode,
        fill_value=preprocessing.fill_value,
        hyperparameters=to_strings(settings),
        metrics=progress.metrics[progress.best.epoch] if progress.best.epoch >= 0 else {},
        epoch=progress.best.epoch + 1,
        temperature=temperature,
        imclass_version=VERSION,
    )


def recover_model(output: Path, path: Path) -> bool:
    """Write the model file of a run that was ended before it could: the weights of its best epoch so far.

    Args:
        output: the run's folder.
        path: the model file to write.

    Returns:
        False when not one epoch was completed.

    Raises:
        ArtifactError: the checkpoint is damaged, or the file cannot be written.
    """
    last = output / LAST
    state = parse_state(last.read_bytes(), last) if last.exists() else {}
    progress = Progress.from_dict(state["progress"]) if state else Progress()
    if progress.best.epoch < 0:
        return False
    names = state.get("class_names")
    settings = parse(state["settings"], fine_tuning=True)
    answers = read_answers(output / ANSWERS, progress.best.epoch + 1)  # of a run that was over but for its model
    temperature = None if answers is None else temperature_of(answers, multi_label=settings.multi_label)
    description = describe_model(settings, None if names is None else tuple(names), progress, temperature)
    weights = load_file(last.parent / progress.best.file)
    save_model(path, description, weights, [], settings.artifact_format, lambda: _generated(settings.image_shape))
    return True


def write_artifact(
    job: Job,
    checkpoints: Checkpoints,
    training: Training,
    progress: Progress,
    path: Path,
    *,
    interrupted: bool,
    temperature: float | None,
) -> None:
    """model.tar.gz: the best epoch's weights (the present ones before the first epoch is done), and what they are."""
    if progress.best.epoch >= 0:
        weights = checkpoints.load_weights(progress.best.file)
    else:
        weights = {key: value.contiguous().cpu() for key, value in training.evaluated_model.state_dict().items()}
    description = describe_model(job.settings, job.class_names, progress, temperature)
    # There is little time after a SIGTERM, and periodic checkpoints are in the folder of their own anyway.
    periodic = [] if interrupted else checkpoints.periodic()
    save_model(
        path,
        description,
        weights,
        periodic,
        job.settings.artifact_format,
        lambda: compared_pixels(job.validation, job.preprocessing),
    )


def save_model(
    path: Path,
    description: artifact.Description,
    weights: Mapping[str, torch.Tensor],
    periodic: Sequence[Path],
    artifact_format: str,
    images: Callable[[], torch.Tensor],
) -> None:
    """Write a model file as `artifact_format` says.

    Args:
        images: gives those on which a file of MXNet is compared with the network, as `compared_pixels` does.
    """
    if artifact_format == "imclass":
        artifact.save(path, description, weights, checkpoints=periodic)
    else:
        own_too = artifact_format == "both"
        artifact.save_mxnet(path, description, weights, images(), checkpoints=periodic, own_too=own_too)
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
        return _generated(preprocessing.image_shape)
    pixels: list[NDArray[np.uint8]] = []
    for index in range(len(source)):
        if len(pixels) == COMPARED_IMAGES:
            break
        with suppress(ImageError):  # what validation could not read is listed already
            pixels.append(preprocess(source[index].image, preprocessing))
    if not pixels:
        raise DataError("not one validation image could be read", where=source.name)
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()


def _generated(image_shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.from_numpy(generated_pixels(image_shape)).float()


def tell_epochs(best: int, periodic: Sequence[Path], *, own_too: bool) -> None:
    """Say which .params file is the best epoch's, when there are several."""
    epochs = sorted({best, *map(artifact.epoch_of, periodic)})
    if len(epochs) > 1:
        opened = "imclass opens the best" if own_too else f"imclass opens the last, {epochs[-1]:04d}"
        log.info(
            "The model file holds the .params of epochs %s; the best is %04d, %s",
            ", ".join(f"{epoch:04d}" for epoch in epochs), best, opened,
        )  # fmt: skip
