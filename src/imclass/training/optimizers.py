"""The original's optimizers, with the original's update rules.

MXNet's rules differ from torch's of the same name in ways that change results: SGD keeps the learning rate inside
the momentum buffer (an old velocity is not scaled down when the rate drops), Adam adds epsilon to the uncorrected
root of the second moment, RMSProp puts it inside the root. `nag` is the rule of MXNet 1.0 to 1.3, which is torch's.
In the formulas w is the weight, g the gradient, d the weight decay and r the learning rate.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from imclass.hyperparameters import Hyperparameters

Groups = list[dict[str, Any]]


def parameter_groups(module: nn.Module, weight_decay: float) -> Groups:
    """Trainable parameters in two groups: weights and batch-norm scales decay, biases and shifts do not.

    This is the original's rule (names ending in `_weight` and `_gamma` decay), told by module type.
    """
    decayed: list[nn.Parameter] = []
    not_decayed: list[nn.Parameter] = []
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            decays = isinstance(part, nn.Conv2d | nn.Linear | nn.modules.batchnorm._BatchNorm) and name == "weight"
            (decayed if decays else not_decayed).append(parameter)
    return [
        {"params": [p for p in decayed if p.requires_grad], "weight_decay": weight_decay},
        {"params": [p for p in not_decayed if p.requires_grad], "weight_decay": 0.0},
    ]


class _ForeachOptimizer(torch.optim.Optimizer):
    """Walks through groups and hands whole lists of tensors to `update`, which few kernels then serve."""

    def __init__(self, groups: Iterable[Any], learning_rate: float, **settings: float) -> None:
        super().__init__(groups, {"lr": learning_rate, "weight_decay": 0.0, "updates": 0, **settings})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        assert closure is None, "closures are not used here"
        for group in self.param_groups:
            weights = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not weights:
                continue
            group["updates"] += 1
            gradients = [parameter.grad for parameter in weights]
            if group["weight_decay"]:
                gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
            self.update(group, weights, gradients)

    def buffers(self, name: str, weights: list[torch.Tensor]) -> list[torch.Tensor]:
        """The state tensors called `name` of these weights, zeros at first."""
        for weight in weights:
            if name not in self.state[weight]:
                self.state[weight][name] = torch.zeros_like(weight, memory_format=torch.preserve_format)
        return [self.state[weight][name] for weight in weights]

    def update(self, group: dict[str, Any], weights: list[torch.Tensor], gradients: list[torch.Tensor]) -> None:
        raise NotImplementedError


class SGD(_ForeachOptimizer):
    """m = momentum*m - r*(g + d*w);  w = w + m."""

    def __init__(self, groups: Iterable[Any], learning_rate: float, momentum: float) -> None:
        super().__init__(groups, learning_rate, momentum=momentum)

    def update(self, group: dict[str, Any], weights: list[torch.Tensor], gradients: list[torch.Tensor]) -> None:
        if not group["momentum"]:
            torch._foreach_add_(weights, gradients, alpha=-group["lr"])
            return
        velocities = self.buffers("momentum", weights)
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, gradients, alpha=-group["lr"])
        torch._foreach_add_(weights, velocities)


class Adam(_ForeachOptimizer):
    """With g including d*w:  m = b1*m + (1-b1)*g;  v = b2*v + (1-b2)*g^2;
    w = w - r * sqrt(1-b2^t)/(1-b1^t) * m/(sqrt(v) + eps), t counting updates from 1."""

    def __init__(self, groups: Iterable[Any], learning_rate: float, beta_1: float, beta_2: float, eps: float) -> None:
        super().__init__(groups, learning_rate, beta_1=beta_1, beta_2=beta_2, eps=eps)

    def update(self, group: dict[str, Any], weights: list[torch.Tensor], gradients: list[torch.Tensor]) -> None:
        beta_1, beta_2, updates = group["beta_1"], group["beta_2"], group["updates"]
        means, squares = self.buffers("mean", weights), self.buffers("square", weights)
        torch._foreach_lerp_(means, gradients, 1.0 - beta_1)
        torch._foreach_mul_(squares, beta_2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1.0 - beta_2)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        # beta_1 = 1 is in the allowed range: its mean never leaves 0, and neither may 0/0 enter the weights.
        scale = (1.0 - beta_2**updates) ** 0.5 / (1.0 - beta_1**updates) if beta_1 < 1.0 else 0.0
        torch._foreach_addcdiv_(weights, means, roots, value=-group["lr"] * scale)


class RMSProp(_ForeachOptimizer):
    """With g including d*w:  n = gamma*n + (1-gamma)*g^2;  w = w - r*g/sqrt(n + eps)."""

    def __init__(self, groups: Iterable[Any], learning_rate: float, gamma: float, eps: float) -> None:
        super().__init__(groups, learning_rate, gamma=gamma, eps=eps)

    def update(self, group: dict[str, Any], weights: list[torch.Tensor], gradients: list[torch.Tensor]) -> None:
        squares = self.buffers("square", weights)
        torch._foreach_mul_(squares, group["gamma"])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1.0 - group["gamma"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(weights, gradients, roots, value=-group["lr"])


def _sgd(module: nn.Module, settings: Hyperparameters) -> torch.optim.Optimizer:
    return SGD(parameter_groups(module, settings.weight_decay), settings.learning_rate, settings.momentum)


def _nag(module: nn.Module, settings: Hyperparameters) -> torch.optim.Optimizer:
    if settings.momentum == 0:  # torch refuses Nesterov momentum of 0, which is plain SGD
        return _sgd(module, settings)
    groups = parameter_groups(module, settings.weight_decay)
    on_gpu = any(parameter.is_cuda for parameter in module.parameters())
    return torch.optim.SGD(
        groups,
        settings.learning_rate,
        momentum=settings.momentum,
        nesterov=True,
        fused=True if on_gpu else None,
    )


# The original ignores weight_decay for adam and rmsprop.
def _adam(module: nn.Module, settings: Hyperparameters) -> torch.optim.Optimizer:
    groups = parameter_groups(module, 0.0)
    return Adam(groups, settings.learning_rate, settings.beta_1, settings.beta_2, settings.eps)


def _rmsprop(module: nn.Module, settings: Hyperparameters) -> torch.optim.Optimizer:
    return RMSProp(parameter_groups(module, 0.0), settings.learning_rate, settings.gamma, settings.eps)


OPTIMIZERS: Mapping[str, Callable[[nn.Module, Hyperparameters], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "nag": _nag,
    "adam": _adam,
    "rmsprop": _rmsprop,
}
