"""An exponential moving average of the weights, which is what gets validated and saved when `ema_decay` is set."""

import copy

import torch
from torch import nn


class MovingAverage:
    """A copy of a model whose parameters and batch-norm statistics follow the original slowly.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that short runs do not remember their random start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        slow = [*self.model.parameters(), *self.model.buffers()]
        fast = [*model.parameters(), *model.buffers()]
        averaged = [(s, f) for s, f in zip(slow, fast, strict=True) if s.is_floating_point()]
        torch._foreach_lerp_([s for s, _ in averaged], [f.detach() for _, f in averaged], 1.0 - decay)
        for s, f in zip(slow, fast, strict=True):
            if not s.is_floating_point():
                s.copy_(f)
