"""What happens before the first step: network, weights, optimizer, loss, order, loaders, checkpoint."""

import logging
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imclass import artifact, models
from imclass.data import LabelRules, PipeChannel, Source
from imclass.errors import ArtifactError, DataError, listing
from imclass.images import AUGMENTATIONS, BadImages, Loader, with_pad_size
from imclass.training.averaging import MovingAverage
from imclass.training.checkpoint import Checkpoints
from imclass.training.console import Console
from imclass.training.distribution import weight_averager
from imclass.training.history import History
from imclass.training.job import Job
from imclass.training.losses import training_loss
from imclass.training.optimizers import OPTIMIZERS
from imclass.training.piping import PipeSampler
from imclass.training.process_group import Processes
from imclass.training.progress import Progress
from imclass.training.sampling import Sampler
from imclass.training.step import Training, update
from imclass.training.synchronised import synchronise_batch_norm
from imclass.training.trackers.tracking import Tracking

log = logging.getLogger(__name__)


def prepare(job: Job, processes: Processes) -> Training:
    """Build the network, its weights, the optimizer and the loss."""
    settings = job.settings
    model = build_model(job).to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if settings.sync_batch_norm and processes.world_size > 1:
        model = synchronise_batch_norm(model, processes)
    batch_size = settings.mini_batch_size * processes.machines
    average = MovingAverage(model, settings.ema_decay) if settings.ema_decay > 0 else None
    return Training(
        model=model,
        network=model,
        optimizer=OPTIMIZERS[settings.optimizer](model, settings),
        scaler=torch.amp.GradScaler(processes.device.type, enabled=settings.precision_dtype == "float16"),
        loss=training_loss(settings, labels_of(job.train), processes.device),
        average=average,
        backbone=[parameter for parameter in model.backbone_parameters() if parameter.requires_grad],
        hyperparameters=settings,
        processes=processes,
        averager=weight_averager(settings, processes),
        batch_size=batch_size,
        update=update,
        share=torch.ones((), device=processes.device),
    )


def labels_of(source: Source | PipeChannel) -> NDArray[np.float32] | None:
    """All labels, (N, L) float32; None of a pipe."""
    return None if isinstance(source, PipeChannel) else source.labels


def build_model(job: Job) -> nn.Module:
    """A network with fresh weights, pretrained weights under a new last layer, or the weights of an earlier model."""
    settings = job.settings
    if job.initial_model:
        return load_initial_model(job.initial_model, job)
    model = models.build(job.network, settings.num_layers, settings.image_shape, job.num_classes)
    models.initialise(model, torch.Generator().manual_seed(settings.seed))
    if job.pretrained:
        log.info("Using pretrained model for initializing weights and transfer learning.")
        log.info("The weights are those of %s", job.pretrained)
        report = models.load_pretrained(model, job.pretrained)
        log.info("Loaded %d tensors: %s", len(report.loaded), ", ".join(report.loaded))
        log.info("Skipped in the file: %s", ", ".join(report.skipped) or "none")
        log.info("Adapted to grey images: %s", ", ".join(report.adapted) or "none")
        log.info("New, with random weights: %s", ", ".join(report.new) or "none")
    else:
        log.info("Performing random weight initialization")
    return model


def load_initial_model(path: Path, job: Job) -> nn.Module:
    """The network of a model file, after checking that it is the one that the settings describe."""
    settings = job.settings
    description, model = artifact.load(path, image_shape=settings.image_shape)
    pairs = {
        "network": (description.network, job.network),
        "num_layers": (description.num_layers, settings.num_layers),
        "image_shape": (_commas(description.image_shape), _commas(settings.image_shape)),
        "num_classes": (description.num_classes, job.num_classes),
        "multi_label": (description.multi_label, settings.multi_label),
    }
    different = [f"{name} is {old} in the model, {new} in this run" for name, (old, new) in pairs.items() if old != new]
    if different:
        raise ArtifactError(
            f"the model does not fit the run:\n{listing(different)}",
            where=str(path),
            fix="Incremental training goes on with the same network; set these to the model's values.",
        )
    if description.class_names and job.class_names and description.class_names != job.class_names:
        log.warning("The model's class names differ from the data's; class numbers are what counts")
    log.info("Going on from %s (all %d tensors loaded)", path, len(model.state_dict()))
    return model


def make_sampler(job: Job, training: Training) -> Sampler | PipeSampler:
    """The order of the run, and the length of its epochs: whole batches only, as the original."""
    settings = job.settings
    assert settings.num_training_samples is not None
    steps = settings.num_training_samples // training.batch_size
    known = settings.num_training_samples if isinstance(job.train, PipeChannel) else len(job.train)
    if steps == 0 or known < training.batch_size:
        samples = min(settings.num_training_samples, known)
        raise DataError(
            f"{samples} training samples are fewer than the {training.batch_size} of one batch",
            where=job.train.name,
            fix=f"Set mini_batch_size to {max(1, samples // training.processes.machines)} or less.",
        )
    if training.batch_size < training.processes.world_size:
        raise DataError(
            f"a batch of {training.batch_size} images leaves some of {training.processes.world_size} processes without",
            where="mini_batch_size",
            fix=f"Set mini_batch_size to {training.processes.local_world_size} or more, or start fewer processes.",
        )
    if isinstance(job.train, PipeChannel):
        return PipeSampler(
            channel=job.train,
            samples=settings.num_training_samples,
            batch_size=training.batch_size,
            steps_per_epoch=steps,
            seed=settings.seed,
            shuffle_buffer=settings.shuffle_buffer,
            rules=LabelRules(job.train.label_format, job.num_classes, settings.multi_label),
        )
    return Sampler(len(job.train), training.batch_size, steps, settings.seed)


def fingerprint(job: Job) -> str:
    """Tells whether a resumed run sees the data it was started with: sizes and labels of both sets.

    Of a pipe only that it is one can be told.
    """
    return " ".join(
        "pipe" if isinstance(source, PipeChannel) else f"{len(source)}:{zlib.crc32(source.labels.tobytes()):08x}"
        for source in (job.train, job.validation)
    )


def resume(job: Job, checkpoints: Checkpoints, training: Training, sampler: Sampler | PipeSampler) -> Progress:
    """Where to begin: at the start, or where the checkpoint stands when asked to resume."""
    state = checkpoints.read(training.processes) if job.resume else None
    if state is None:
        if job.resume:
            log.info("Nothing to resume in %s, starting afresh", job.output)
        if training.processes.is_main:
            checkpoints.clear()
        return Progress()
    progress = checkpoints.restore(state, training)
    if progress.finished and progress.epoch < job.settings.epochs and not job.settings.early_stopping:
        progress.finished = False  # more epochs were asked for
    if training.averager:
        training.averager.step = progress.epoch * sampler.steps_per_epoch + progress.step
    log.info("Resuming after epoch %d, batch %d", progress.epoch, progress.step)
    return progress


def loaders(job: Job, bad_images: BadImages, processes: Processes) -> tuple[Loader, Loader]:
    """The training set's loader, which augments, and the validation set's, which does not."""
    augmentation = with_pad_size(AUGMENTATIONS[job.settings.augmentation_type], job.settings.pad_size)
    train = Loader(
        job.train,
        job.preprocessing,
        augmentation=augmentation,
        seed=job.settings.seed,
        threads=job.threads,
        device=processes.device,
        bad_images=bad_images,
        samples=job.settings.num_training_samples,
        decoder=job.settings.decoder,
    )
    validation = Loader(
        job.validation, job.preprocessing, threads=job.threads, device=processes.device, bad_images=bad_images
    )
    return train, validation


def make_history(
    job: Job, sampler: Sampler | PipeSampler, console: Console, tracking: Tracking, processes: Processes
) -> History:
    return History(
        job.output,
        job.settings,
        console,
        tracking,
        writes_files=processes.is_main,
        speaks=processes.local_rank == 0,
        batch_size=sampler.batch_size,
        steps_per_epoch=sampler.steps_per_epoch,
    )


def _commas(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape))
