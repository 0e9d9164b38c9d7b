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


def train_step(training: Training, batch: Batch, step: int, learning_rate: float) -> Answers:
    """Mix, forward, backward, update.

    Returns:
        logits (n, num_classes) and losses (n,), detached, on the device, valid until the next step.
    """
    settings = training.hyperparameters
    mixed = mix(batch.images.float(), batch.labels, settings.mixup_alpha, settings.cutmix_alpha, settings.seed, step)
    training.optimizer.begin(learning_rate)
    training.share.fill_(mixed.share)
    answers = training.update(training, mixed.images, batch.labels, mixed.partner_labels)
    if training.average:
        training.average.update()
    return answers


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
    training.optimizer.zero_grad(set_to_none=True)
    training.scaler.scale(objective).backward()  # type: ignore[no-untyped-call]
    if settings.gradient_clip_norm > 0:
        training.scaler.unscale_(training.optimizer)
        nn.utils.clip_grad_norm_(training.model.parameters(), settings.gradient_clip_norm)
    training.scaler.step(training.optimizer)
    training.scaler.update()
    return logits.detach(), losses.detach()


def empty_step(training: Training, learning_rate: float) -> None:
    """Take part in the gradient exchange with nothing to add, when every image of this process's share is unreadable.

    Alone, a process simply has no step to take. Evaluation mode keeps the batch-norm statistics as they are.
    """
    if training.processes.world_size == 1:
        return
    was_training = training.network.training
    shape = (1, *training.model.image_shape)  # type: ignore[misc]
    training.network.eval()
    training.optimizer.begin(learning_rate)
    logits = training.network(torch.zeros(shape, device=training.processes.device))
    training.optimizer.zero_grad(set_to_none=True)
    training.scaler.scale((logits * 0.0).sum()).backward()
    training.scaler.step(training.optimizer)
    training.scaler.update()
    training.network.train(was_training)
