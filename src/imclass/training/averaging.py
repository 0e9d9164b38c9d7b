"""A moving average of the weights, which is what gets validated and saved when `ema_decay` is set."""

import copy

import torch
from torch import nn


class MovingAverage:
    """A copy of a model whose parameters and batch-norm statistics follow the original slowly.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that short runs do not remember their random
    start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        pairs = list(zip(_tensors(self.model), _tensors(model), strict=True))
        averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        counters = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._averaged = [slow for slow, _ in averaged], [fast for _, fast in averaged]
        self._counters = [slow for slow, _ in counters], [fast for _, fast in counters]

    @torch.no_grad()
    def update(self) -> None:
        """Follow the model one step further."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(*self._averaged, 1.0 - decay)
        if self._counters[0]:
            torch._foreach_copy_(*self._counters)


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [*(parameter.data for parameter in model.parameters()), *model.buffers()]
