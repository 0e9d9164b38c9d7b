"""One epoch of training."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from imclass.errors import UserError
from imclass.hyperparameters import Hyperparameters
from imclass.images.loader import Loader
from imclass.training.metrics import RunningSums, Totals
from imclass.training.piping import PipeSampler
from imclass.training.sampling import Sampler
from imclass.training.schedule import learning_rate
from imclass.training.step import Training, train_step

LOG_EVERY = 20  # batches, as the original
# Steps between two questions whether any process was asked to stop; the question costs as much as a short GPU step.
AGREE_EVERY = {"cpu": 1, "cuda": 10}


class NonFiniteLossError(UserError):
    """The loss became NaN or infinite."""


@dataclass
class EpochState:
    """How far an epoch has come.

    Attributes:
        epoch: its number, from 0.
        step: steps of it that are done.
        sums: what these steps gave, on this process.
        seconds: time they took.
    """

    epoch: int
    step: int
    sums: RunningSums
    seconds: float = 0.0


class Observer(Protocol):
    """Is told how an epoch gets on."""

    def step(self, state: EpochState) -> None:
        """After every step; nothing has been read back from the device."""

    def batch(self, state: EpochState, totals: Totals) -> None:
        """Every 20 batches, with the sums so far."""


def train_epoch(
    training: Training,
    loader: Loader,
    sampler: Sampler | PipeSampler,
    state: EpochState,
    *,
    stop_requested: Callable[[], bool],
    observer: Observer,
) -> bool:
    """Train from where `state` stands to the end of its epoch, changing `state` on the way.

    Args:
        training: model, optimizer and settings.
        loader: the training set's.
        sampler: which samples each step takes.
        state: the epoch; a fresh one starts at step 0.
        stop_requested: asked between steps.
        observer: is told of every step, and every 20 batches of the sums so far.

    Returns:
        True when the epoch is complete, False when a stop was requested on any process.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite (not raised in a tuning job, whose trial reports its metric).
    """
    processes = training.processes
    first = state.epoch * sampler.steps_per_epoch
    began = time.perf_counter() - state.seconds
    set_training_mode(training, state.epoch)
    for batch in loader.batches(sampler.requests(first + state.step, first + sampler.steps_per_epoch, processes)):
        step = first + state.step
        rate = learning_rate(step, sampler.steps_per_epoch, training.hyperparameters)
        if len(batch.indices) or processes.world_size > 1:
            logits, labels, losses = train_step(training, batch, step, rate)
            state.sums.add(logits, labels, losses, step)
        if training.averager:
            training.averager.average_parameters(training.model.parameters())
        state.step += 1
        state.seconds = time.perf_counter() - began
        observer.step(state)
        if state.step % LOG_EVERY == 1 and state.step > 1:
            totals = state.sums.read()
            check_finite(totals, training.hyperparameters, sampler.steps_per_epoch)
            observer.batch(state, totals)
        if state.step == sampler.steps_per_epoch:
            break
        agree = processes.world_size == 1 or state.step % AGREE_EVERY[processes.device.type] == 0
        if agree and processes.any(stop_requested()):
            return False
    if state.step < sampler.steps_per_epoch:
        return False  # a pipe that was waited for when a stop was requested
    if processes.device.type == "cuda":
        torch.cuda.synchronize(processes.device)  # the steps are started by now, not done
    state.seconds = time.perf_counter() - began
    return True


def set_training_mode(training: Training, epoch: int) -> None:
    """Training mode; while the backbone is frozen, its batch norms keep their statistics too."""
    training.network.train()
    if epoch < training.hyperparameters.freeze_backbone_epochs:
        for part in training.model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()


def check_finite(totals: Totals, hyperparameters: Hyperparameters, steps_per_epoch: int) -> None:
    """Raise NonFiniteLossError with the step and the likely cause, unless a tuning job is running."""
    if totals.first_bad_step is None or hyperparameters.tuning_objective_metric is not None:
        return
    epoch, batch = divmod(totals.first_bad_step, steps_per_epoch)
    rate = learning_rate(totals.first_bad_step, steps_per_epoch, hyperparameters)
    causes = []
    if hyperparameters.optimizer in ("adam", "rmsprop") and hyperparameters.eps == 0:
        causes.append("eps=0 divides by zero where a weight has no gradient: try 1e-8")
    causes += [f"the learning rate ({rate:g} at that step, {hyperparameters.optimizer}) is too high: try {rate / 10:g}"]
    if hyperparameters.optimizer in ("sgd", "nag", "muon") and hyperparameters.momentum > 0.95:
        causes.append(f"momentum {hyperparameters.momentum:g} multiplies steps by {_amplification(hyperparameters)}")
    if hyperparameters.precision_dtype == "float16":
        causes.append("float16 overflows above 65504: try precision_dtype=bfloat16")
    if hyperparameters.gradient_clip_norm == 0:
        causes.append("single steps explode: try gradient_clip_norm=1")
    raise NonFiniteLossError(
        f"the loss is not a finite number since step {totals.first_bad_step} (epoch {epoch}, batch {batch})",
        fix="Likely causes, the likeliest first: " + "; ".join(causes) + ".",
    )


def _amplification(hyperparameters: Hyperparameters) -> str:
    return "infinity" if hyperparameters.momentum >= 1 else f"{1 / (1 - hyperparameters.momentum):.0f}"
