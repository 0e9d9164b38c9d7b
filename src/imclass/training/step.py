"""One training step, and what it works on."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager

from imclass.hyperparameters import Hyperparameters
from imclass.images.loader import Batch
from imclass.training.averaging import MovingAverage
from imclass.training.losses import Loss
from imclass.training.mixing import mix
from imclass.training.optimizers import ForeachOptimizer
from imclass.training.process_group import Processes

Answers = tuple[torch.Tensor, torch.Tensor]  # logits (n, num_classes) and losses (n,)

AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Update(Protocol):
    """Changes the weights for one batch; see `update`."""

    def __call__(
        self,
        training: "Training",
        images: torch.Tensor,
        labels: torch.Tensor,
        partner_labels: torch.Tensor | None,
    ) -> Answers: ...


@dataclass
class Training:
    """Everything that a step reads and changes.

    Attributes:
        model: the network itself.
        network: what the step calls: the model, or DistributedDataParallel around it.
        backbone: the parameters below the last layer that learn.
        averager: averages the weights of machines that update locally (`dist_async`), else None.
        batch_size: samples of a step over all processes, which the gradient is divided by.
        update: the device's half of a step: `update` itself, or a recording of it.
        share: weight of a batch's own labels when batches are mixed, on the device.
        average: the moving average of the weights, None when `ema_decay` is 0.
    """

    model: nn.Module
    network: nn.Module
    optimizer: ForeachOptimizer
    scaler: torch.amp.GradScaler
    loss: Loss
    average: MovingAverage | None
    backbone: list[nn.Parameter]
    hyperparameters: Hyperparameters
    processes: Processes
    averager: PeriodicModelAverager | None
    batch_size: int
    update: "Update"
    share: torch.Tensor

    @property
    def evaluated_model(self) -> nn.Module:
        """The weights that are validated and saved."""
        return self.average.model if self.average else self.model


def precision_context(device: torch.device, precision_dtype: str) -> AbstractContextManager[None]:
    """Autocast to `precision_dtype`; float32 needs none."""
    dtype = AUTOCAST[precision_dtype]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def step_dtype(settings: Hyperparameters) -> torch.dtype:
    """The type of the images that an update takes: bytes as they are loaded, unless they are mixed."""
    return torch.float32 if settings.mixup_alpha > 0 or settings.cutmix_alpha > 0 else torch.uint8


def train_step(
    training: Training, batch: Batch, step: int, learning_rate: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mix, forward, backward, update.

    Returns:
        logits (n, num_classes), labels (n, L) to judge them by, and losses (n,), detached, on the device, valid until
        the next step.
    """
    settings = training.hyperparameters
    images = batch.images.to(step_dtype(settings))
    mixed = mix(images, batch.labels, settings.mixup_alpha, settings.cutmix_alpha, settings.seed, step)
    training.optimizer.begin(learning_rate)
    if len(batch.indices):
        training.share.fill_(mixed.share)
        logits, losses = training.update(training, mixed.images, mixed.labels, mixed.partner_labels)
    else:
        logits, losses = idle_update(training, mixed.images, batch.labels)
    if training.average:
        training.average.update()
    return logits, mixed.labels, losses


def update(
    training: Training, images: torch.Tensor, labels: torch.Tensor, partner_labels: torch.Tensor | None
) -> Answers:
    """The half of a step that the device does alone: it reads nothing back and depends on no number of the host.

    The gradient is that of the summed loss divided by the planned batch size of all processes (the original's
    rescale_grad), so unreadable images or uneven shares of a batch do not change the weight of the others.
    """
    settings, processes = training.hyperparameters, training.processes
    with precision_context(processes.device, settings.precision_dtype):
        logits = training.network(images)
    losses = training.loss(logits, labels)
    if partner_labels is not None:
        losses = training.share * losses + (1.0 - training.share) * training.loss(logits, partner_labels)

    # DistributedDataParallel averages gradients over processes, hence the factor that turns the mean into a sum.
    objective = losses.sum() * (processes.world_size / training.batch_size)
    descend(training, objective)
    return logits.detach(), losses.detach()


def idle_update(training: Training, images: torch.Tensor, labels: torch.Tensor) -> Answers:
    """`update` of a process whose whole share of a batch is unreadable, while the other processes have images.

    It takes part in every exchange and adds nothing. Its batch norms see a black image in evaluation mode, which
    leaves their statistics alone; synchronised ones see the others' statistics and no image of their own.
    """
    settings = training.hyperparameters
    if settings.sync_batch_norm:
        logits = training.network(images)
    else:
        modes = [(part, part.training) for part in training.network.modules()]
        training.network.eval()
        logits = training.network(images.new_zeros((1, *images.shape[1:])))
        for part, mode in modes:  # those of a frozen backbone are in evaluation mode and stay there
            part.training = mode
    descend(training, (logits * 0.0).sum())
    return logits.detach()[:0], labels.new_zeros(0)


def descend(training: Training, objective: torch.Tensor) -> None:
    """Backward and update. With loss scaling, gradients that overflow change nothing but the scale."""
    training.optimizer.zero_grad(set_to_none=True)
    training.scaler.scale(objective).backward()  # type: ignore[no-untyped-call]
    training.scaler.unscale_(training.optimizer)
    if training.hyperparameters.gradient_clip_norm > 0:
        nn.utils.clip_grad_norm_(training.model.parameters(), training.hyperparameters.gradient_clip_norm)
    training.scaler.step(training.optimizer)
    training.scaler.update()
