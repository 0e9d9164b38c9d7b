"""The network made fast for the device that it trains on, in a rehearsal before the first step.

    auto   on a GPU: PyTorch's convolutions, and imclass's kernels for all that stands between them
    on     what torch.compile makes of it, region by region

A region is the stem, a residual unit or the last activation. Units of the same shape share their kernels, so 152 layers
take little longer than 50. The gradients of a unit are ready when its own backward pass is done, and not only when that
of the whole network is, so that several processes exchange them meanwhile.

Either is made for one shape of batch. Batches of other shapes, and all that is not a training step, take the network as
it is. Compiled code is kept in the cache folder for later runs.
"""

import logging
import os
import re
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from imclass.cache_folder import cache_folder
from imclass.hyperparameters import Hyperparameters
from imclass.models import ResNet
from imclass.models.kernels import have_kernels, kernels
from imclass.models.rounding import rounded_weights
from imclass.training.process_group import Processes
from imclass.training.step import AUTOCAST, Answers, Training, precision_context, step_dtype, update

log = logging.getLogger(__name__)

_MOST_SHAPES = 64  # of units with the same code: a large network has eight, and twice as many with a frozen backbone

# What is raised where code cannot be compiled: by torch or the compilers it starts, for want of one of them, and when
# the cache folder cannot be written.
_FAILURES = (RuntimeError, ImportError, OSError)

# What torch's compiler says of its own code.
_OWN_WARNINGS = ("The .grad attribute of a Tensor that is not a leaf", "`torch.jit.script_method` is deprecated")


class FastNetwork(Protocol):
    """A way to compute a network's training steps faster."""

    def __str__(self) -> str:
        """What is compiled, for the log."""
        ...

    def rehearsed(self) -> AbstractContextManager[None]:
        """Inside, the network goes forward and backward for the first time, and what it needs is compiled."""
        ...

    def in_use(self) -> AbstractContextManager[None]:
        """Inside, the network is computed this way."""
        ...


class Kernels:
    """imclass's own kernels for batch norms and what is around them, see `models.fused`.

    Args:
        dtype: the type that autocast computes in; None without autocast.
    """

    def __init__(self, model: ResNet, folder: Path, dtype: torch.dtype | None) -> None:
        os.environ.setdefault("TRITON_CACHE_DIR", str(folder / "triton"))
        self._model = model
        self._dtype = dtype

    def __str__(self) -> str:
        return "the kernels around the convolutions"

    @contextmanager
    def rehearsed(self) -> Iterator[None]:
        """Inside, kernels that are called for the first time are compiled by Triton, which starts a C compiler too."""
        from triton.errors import TritonError

        try:
            with self.in_use():
                yield
        except (TritonError, subprocess.SubprocessError) as error:
            raise RuntimeError(brief(error)) from error

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside, the network's batch norms are computed in the kernels, and its weights are rounded already."""
        rounded = nullcontext() if self._dtype is None else rounded_weights(self._model, self._dtype)
        with kernels(self._model), rounded:
            yield


class Regions:
    """The regions of a network, compiled by torch.compile when they are first called."""

    def __init__(self, model: ResNet, folder: Path) -> None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))
        units = [unit for name in model.stage_names for unit in model.get_submodule(name).children()]
        places: list[tuple[nn.Module, str]] = [(model, "stem"), *((unit, "forward") for unit in units)]
        places.append((model, "activate"))
        with without_own_warnings():
            self._compiled: list[tuple[nn.Module, str, Callable[..., torch.Tensor]]] = [
                (owner, method, torch.compile(getattr(owner, method), dynamic=False)) for owner, method in places
            ]

    def __str__(self) -> str:
        return f"{len(self._compiled)} regions of the network"

    @contextmanager
    def rehearsed(self) -> Iterator[None]:
        """Inside, regions that are called are compiled, or it fails."""
        with ExitStack() as stack:
            stack.enter_context(
                torch._dynamo.config.patch(recompile_limit=_MOST_SHAPES, fail_on_recompile_limit_hit=True)
            )
            stack.enter_context(without_own_warnings())
            stack.enter_context(self.in_use())
            try:
                yield
            except torch._dynamo.exc.FailOnRecompileLimitHit as error:
                raise RuntimeError(str(error)) from error

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside, the network's regions are the compiled ones."""
        for owner, method, compiled in self._compiled:
            setattr(owner, method, compiled)
        try:
            yield
        finally:
            for owner, method, _ in self._compiled:
                delattr(owner, method)


class CompiledUpdate:
    """`step.update` with the fast network for full batches, and with the network as it is for others.

    Args:
        network: rehearsed with batches of `shape` and `dtype`.
        seconds: what the rehearsal took.
    """

    def __init__(self, network: FastNetwork, shape: torch.Size, dtype: torch.dtype, seconds: float) -> None:
        self.network = network
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
        with self.network.in_use():
            return update(training, images, labels, partner_labels)


def compile_update(training: Training) -> CompiledUpdate | None:
    """The fast step, if there is one and it works on all processes; else None and a line in the log.

    The network must be in the mode, and its parameters must learn or not, as in the steps to come. Its state is as
    before; gradients are dropped.
    """
    settings, processes = training.hyperparameters, training.processes
    assert isinstance(training.model, ResNet)
    reason = reason_against(settings, processes)
    if reason:
        log.info("The network is not compiled: %s", reason)
        return None
    folder = cache_folder("compiled")
    share = processes.share(training.batch_size)
    shape = (share.stop - share.start, *settings.image_shape)
    images = torch.zeros(shape, dtype=step_dtype(settings), device=processes.device)
    images = images.contiguous(memory_format=torch.channels_last)
    began = time.perf_counter()
    network: FastNetwork
    if settings.compile == "on":
        network = Regions(training.model, folder)
    else:
        network = Kernels(training.model, folder, AUTOCAST[settings.precision_dtype])
    problem = rehearse(training, network, images)
    if processes.any(problem is not None):
        log.warning("The network cannot be compiled, going on without: %s", problem or "it fails on another process")
        return None
    seconds = time.perf_counter() - began
    log.info("Compiled %s in %.1f s; the code is kept in %s", network, seconds, folder)
    return CompiledUpdate(network, images.shape, images.dtype, seconds)


def reason_against(settings: Hyperparameters, processes: Processes) -> str | None:
    """Why a run's network is computed as it is, in words; None when it is not."""
    if settings.compile == "off":
        return "compile=off"
    if settings.sync_batch_norm and processes.world_size > 1:
        return "sync_batch_norm exchanges statistics between processes in the middle of it"
    if settings.compile == "auto" and processes.device.type != "cuda":
        return "compile=auto compiles on a GPU only"
    if settings.compile == "auto" and not have_kernels(processes.device):
        return "Triton is not installed"
    return None


def rehearse(training: Training, network: FastNetwork, images: torch.Tensor) -> str | None:
    """Go forward and backward once, and leave no trace of it in the network.

    Returns:
        Why that failed, in a line; None when it did not.
    """
    model = training.model
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        with network.rehearsed():
            with precision_context(images.device, training.hyperparameters.precision_dtype):
                logits = model(images)
            logits.float().sum().backward()
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
    except _FAILURES as error:
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
