"""The settings of a run in its log, in the original's words where it has them."""

import logging

import numpy as np

from imclass.data import PipeChannel, Source
from imclass.hyperparameters import to_strings, warnings_of
from imclass.training.job import Job
from imclass.training.process_group import Processes

log = logging.getLogger(__name__)
# On a terminal, the words of the original give way to a bar and a few lines.
original = logging.getLogger("imclass.original")


def amount(source: Source | PipeChannel) -> str:
    """How many images there are, as far as anybody knows."""
    return "a pipe of" if isinstance(source, PipeChannel) else str(len(source))


def data_type(precision_dtype: str) -> str:
    """As the original prints it; of bfloat16, which it does not know, just the name."""
    return f"<class 'numpy.{precision_dtype}'>" if precision_dtype in np.sctypeDict else precision_dtype


def describe(job: Job, processes: Processes) -> None:
    """Log the settings."""
    settings = job.settings
    original.info("use_pretrained_model: %d", bool(job.pretrained))
    original.info("multi_label: %d", settings.multi_label)
    original.info("---- Parameters ----")
    original.info("data type: %s", data_type(settings.precision_dtype))
    if settings.resize:
        original.info("image resize size: %d", settings.resize)
    # The original's words for what is not set.
    unset = {"augmentation_type": "None"} if settings.augmentation_type == "none" else {}
    kv_store = {"kv_store": "device"} if processes.machines == 1 else {}
    for name, value in {**to_strings(settings), **unset, **kv_store}.items():
        original.info("%s: %s", name, value)
    if settings.checkpoint_frequency is None:
        original.info("checkpoint_frequency not set, will store the best model")
    original.info("--------------------")
    original.info("Setting number of threads: %d", job.threads)
    log.info(
        "%d processes on %d machines, %s; %s training images, %s validation images",
        processes.world_size, processes.machines, processes.device, amount(job.train), amount(job.validation),
    )  # fmt: skip
    for source in (job.train, job.validation):
        if isinstance(source, PipeChannel):
            log.info("The channel '%s' is in pipe input mode under %s.", source.name, source.path)
    if settings.kv_store == "dist_async" and processes.machines == 1:
        log.info("kv_store is ignored on a single machine")
    if settings.freeze_backbone_epochs and not (job.pretrained or job.initial_model):
        log.warning("freeze_backbone_epochs freezes random weights: nothing was trained before")
    for warning in warnings_of(settings):
        log.warning("%s", warning)
