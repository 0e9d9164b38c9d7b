"""The learning rate of every update, as a pure function of its number."""

import math

from imclass.hyperparameters import Hyperparameters


def learning_rate(step: int, steps_per_epoch: int, hyperparameters: Hyperparameters) -> float:
    """Learning rate of update `step` (from 0).

    * `lr_schedule=step`: multiplied by `lr_scheduler_factor` as soon as each epoch count of `lr_scheduler_step`
      has been completed, as MXNet's MultiFactorScheduler does.
    * `lr_schedule=cosine`: half a cosine from `learning_rate` to 0 over the rest of the run after the warm-up.
    * During the first `warmup_epochs` the rate rises linearly to its full value in both.
    """
    warmup_steps = hyperparameters.warmup_epochs * steps_per_epoch
    if step < warmup_steps:
        return hyperparameters.learning_rate * min(1.0, (step + 1) / warmup_steps)
    if hyperparameters.lr_schedule == "cosine":
        total = hyperparameters.epochs * steps_per_epoch
        progress = (step - warmup_steps) / max(1.0, total - warmup_steps)
        return hyperparameters.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    drops = sum(step >= epoch * steps_per_epoch for epoch in hyperparameters.lr_scheduler_step)
    return float(hyperparameters.learning_rate * hyperparameters.lr_scheduler_factor**drops)
