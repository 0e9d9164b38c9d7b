"""The network compiled for the device that it trains on, region by region.

A region is the stem, a residual unit or the last activation. Units of the same shape share their kernels, so 152 layers
take little longer than 50. The gradients of a unit are ready when its own backward pass is done, and not only when that
of the whole network is, so that several processes exchange them meanwhile.

Regions are compiled for one shape of batch, in a rehearsal before the first step. Batches of other shapes, and all that
is not a training step, take the network as it is. Compiled code is kept in the cache folder for later runs.
"""

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from imclass.cache_folder import cache_folder
from imclass.hyperparameters import Hyperparameters
from imclass.models import ResNet
from imclass.models.cost import multiply_adds
from imclass.training.process_group import Processes
from imclass.training.step import Answers, Training, precision_context, step_dtype, update

log = logging.getLogger(__name__)

# ResNet-50 at 224 pixels, 4.09e9 multiply-adds an image, trained at 4,755 images/s on an H200 in bfloat16 with batches
# of 256, and at 6,895 compiled, which took 52 s with an empty cache and 8 s with a full one. Slower GPUs win more.
SECONDS_SAVED = (1 / 4755 - 1 / 6895) / 4.09e9  # of each image, for each multiply-add of its forward pass
WORTH_SECONDS = 100.0  # what compiling has to save: twice what it takes with an empty cache

_MOST_SHAPES = 64  # of units with the same code: a large network has eight, and twice as many with a frozen backbone

# What is raised where code cannot be compiled: by torch or the compilers it starts, for want of one of them, and when
# the cache folder cannot be written.
_FAILURES = (RuntimeError, ImportError, OSError)


# What torch's compiler says of its own code.
_OWN_WARNINGS = ("The .grad attribute of a Tensor that is not a leaf", "`torch.jit.script_method` is deprecated")


class Regions:
    """The regions of a network, compiled when they are first called."""

    def __init__(self, model: ResNet) -> None:
        units = [unit for name in model.stage_names for unit in model.get_submodule(name).children()]
        places: list[tuple[nn.Module, str]] = [(model, "stem"), *((unit, "forward") for unit in units)]
        places.append((model, "activate"))
        with without_own_warnings():
            self._compiled: list[tuple[nn.Module, str, Callable[..., torch.Tensor]]] = [
                (owner, method, torch.compile(getattr(owner, method), dynamic=False)) for owner, method in places
            ]

    def __len__(self) -> int:
        return len(self._compiled)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside, the network's regions are the compiled ones, and cuDNN tries its algorithms for shapes new to it.

        It takes seconds to try them, which is why other shapes of batch go without.
        """
        cudnn = torch.backends.cudnn
        tried_before, cudnn.benchmark = cudnn.benchmark, True
        for owner, method, compiled in self._compiled:
            setattr(owner, method, compiled)
        try:
            yield
        finally:
            for owner, method, _ in self._compiled:
                delattr(owner, method)
            cudnn.benchmark = tried_before


class CompiledUpdate:
    """`step.update` with a compiled network for full batches, and with the network as it is for others.

    Args:
        regions: compiled for batches of `shape` and `dtype`.
        seconds: what compiling took.
    """

    def __init__(self, regions: Regions, shape: torch.Size, dtype: torch.dtype, seconds: float) -> None:
        self.regions = regions
        self.shape = shape
        self.dtype = dtype
        self.seconds = seconds

    def __call__(
        self,
        training: Training,
        images: torch.Tensor,
        labels: torch.Tensor,
        partner_labels: torch.Tensor | None,
    ) -> Answers:
        if images.shape != self.shape or images.dtype != self.dtype:
            return update(training, images, labels, partner_labels)
        with self.regions.in_use():
            return update(training, images, labels, partner_labels)


def compile_update(training: Training) -> CompiledUpdate | None:
    """The compiled step, if that is asked for or worth it, and works on all processes; else None and a line in the log.

    The network must be in the mode, and its parameters must learn or not, as in the steps to come. Its state is as
    before; gradients are dropped.
    """
    settings, processes = training.hyperparameters, training.processes
    assert isinstance(training.model, ResNet)
    reason = reason_against(settings, training.model, processes)
    if reason:
        log.info("The network is not compiled: %s", reason)
        return None
    folder = os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder("compiled")))
    share = processes.share(training.batch_size)
    shape = (share.stop - share.start, *settings.image_shape)
    images = torch.zeros(shape, dtype=step_dtype(settings), device=processes.device)
    images = images.contiguous(memory_format=torch.channels_last)
    began = time.perf_counter()
    regions = Regions(training.model)
    problem = rehearse(training, regions, images)
    if processes.any(problem is not None):
        log.warning("The network cannot be compiled, going on without: %s", problem or "it fails on another process")
        return None
    seconds = time.perf_counter() - began
    log.info("Compiled %d regions of the network in %.1f s; the code is kept in %s", len(regions), seconds, folder)
    return CompiledUpdate(regions, images.shape, images.dtype, seconds)


def reason_against(settings: Hyperparameters, model: ResNet, processes: Processes) -> str | None:
    """Why a run's network is not compiled, in words; None when it is."""
    if settings.compile == "off":
        return "compile=off"
    if settings.sync_batch_norm and processes.world_size > 1:
        return "sync_batch_norm exchanges statistics between processes in the middle of it"
    if settings.compile == "on":
        return None
    if processes.device.type != "cuda":
        return "compile=auto compiles on a GPU only"
    saved = seconds_saved(settings, model, processes.world_size)
    if saved < WORTH_SECONDS:
        return f"compile=auto expects to save {saved:.1f} s in this run, and {WORTH_SECONDS:g} s make it worth while"
    return None


def seconds_saved(settings: Hyperparameters, model: ResNet, world_size: int) -> float:
    """What compiling is expected to save each process in a whole run, by figures of one H200."""
    assert settings.num_training_samples is not None
    images = settings.epochs * settings.num_training_samples / world_size
    return SECONDS_SAVED * multiply_adds(model) * images


def rehearse(training: Training, regions: Regions, images: torch.Tensor) -> str | None:
    """Compile the regions: go forward and backward once, and leave no trace of it in the network.

    Returns:
        Why that failed, in a line; None when it did not.
    """
    model = training.model
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    limits = torch._dynamo.config.patch(recompile_limit=_MOST_SHAPES, fail_on_recompile_limit_hit=True)
    try:
        with limits, without_own_warnings(), regions.in_use():
            with precision_context(images.device, training.hyperparameters.precision_dtype):
                logits = model(images)
            logits.float().sum().backward()
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
    except (*_FAILURES, torch._dynamo.exc.FailOnRecompileLimitHit) as error:
        return brief(error)
    finally:
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
    return None


@contextmanager
def without_own_warnings() -> Iterator[None]:
    """Leaves out what a user of imclass can do nothing about."""
    with warnings.catch_warnings():
        for message in _OWN_WARNINGS:
            warnings.filterwarnings("ignore", re.escape(message))
        yield


def brief(error: Exception) -> str:
    """What went wrong at first, without the pages that compilers add."""
    inner = getattr(error, "inner_exception", None)  # of what torch raises in a compiler's place
    if isinstance(inner, Exception):
        return brief(inner)
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
    return f"{type(error).__name__}: {reason}"
