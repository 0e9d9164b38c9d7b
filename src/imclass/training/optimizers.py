"""The optimizers: the original's, with the original's update rules, and a faster one.

MXNet's rules differ from torch's of the same name in ways that change results: SGD keeps the learning rate inside
the momentum buffer (an old velocity is not scaled down when the rate drops), Adam adds epsilon to the uncorrected
root of the second moment, RMSProp puts it inside the root. `nag` is the rule of MXNet 1.0 to 1.3, which is torch's.
`muon` is an addition. In the formulas w is the weight, g the gradient, d the weight decay and r the learning rate.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from imclass.hyperparameters import Hyperparameters
from imclass.models.convolution import StemConv2d
from imclass.training.orthogonalisation import orthogonalised

MUON_MOMENTUM = 0.6  # of what Muon turns; Jordan's for CIFAR-10

Groups = list[dict[str, Any]]
Tensors = list[torch.Tensor]


def parameter_groups(model: nn.Module, weight_decay: float) -> Groups:
    """Trainable parameters in groups: what decays and what does not, of the last layer (`model.head`) and of the rest.

    Weights of layers and scales of batch norms decay, biases and shifts do not: the original's rule (names ending in
    `_weight` and `_gamma` decay), told by module type. The last layer stands apart because it may learn alone.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    of_head = set(model.head.modules())  # type: ignore[union-attr]
    for part in model.modules():
        for name, parameter in part.named_parameters(recurse=False):
            decays = isinstance(part, nn.Conv2d | nn.Linear | nn.modules.batchnorm._BatchNorm) and name == "weight"
            if parameter.requires_grad:
                groups.setdefault((part in of_head, decays), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": weight_decay if decays else 0.0}
        for (_, decays), parameters in groups.items()
    ]


def muon_groups(model: nn.Module, weight_decay: float) -> Groups:
    """The groups of `parameter_groups`, and more for what Muon turns: the weights of all convolutions but the first.

    The first has the three colours for inputs, so its weight has no directions that a gradient would neglect. Weights
    that turn do not decay.
    """
    turned = {
        id(part.weight)
        for part in model.modules()
        if isinstance(part, nn.Conv2d) and not isinstance(part, StemConv2d) and part.weight.requires_grad
    }
    groups: Groups = []
    for group in parameter_groups(model, weight_decay):
        for turns in (True, False):
            parameters = [parameter for parameter in group["params"] if (id(parameter) in turned) == turns]
            if parameters:
                decay = 0.0 if turns else group["weight_decay"]
                groups.append({"params": parameters, "weight_decay": decay, "turns": turns})
    return groups


class ForeachOptimizer(torch.optim.Optimizer):
    """Hands whole lists of tensors to `update`, which few kernels then serve.

    A step has two halves: `begin` does the arithmetic of the host and leaves its result in a tensor, `step` works on
    the device alone. So the device half can be recorded once and replayed with other learning rates.

    Loss scaling is part of that half. `GradScaler` would read from the device whether a gradient overflowed, and then
    not call `step`; this one it calls in any case, and `step` lets the device choose.
    """

    # What GradScaler looks for. It then sets `grad_scale`, None where gradients are divided by the scale already, and
    # `found_inf`, which is not 0 where a gradient is not finite, both on the device, and deletes them after the step.
    _step_supports_amp_scaling = True

    def __init__(self, groups: Iterable[Any], learning_rate: float, **settings: float) -> None:
        super().__init__(groups, {"lr": learning_rate, "weight_decay": 0.0, "updates": 0, **settings})
        self.rates = [torch.zeros((), device=group["params"][0].device) for group in self.param_groups]

    # These are torch's own without what wraps them, which would load torch's compiler: for a second of every run.
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)

    def begin(self, learning_rate: float) -> None:
        """Set the learning rate of the next `step`, and count it for the groups that learn.

        A step is counted also where it then has no effect because gradients overflow: only the device knows that.
        """
        for group, rate in zip(self.param_groups, self.rates, strict=True):
            group["lr"] = learning_rate
            if group["params"][0].requires_grad:
                group["updates"] += 1
                rate.fill_(self.step_size(group))

    def step_size(self, group: dict[str, Any]) -> float:
        """What the direction of a step is multiplied by."""
        return float(group["lr"])

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change the weights that have gradients, and their state.

        Called by `GradScaler`, divide the gradients by the scale, unless that is done; and where one of them is not
        finite, leave all weights and all state as they are.
        """
        assert closure is None, "closures are not used here"
        grad_scale, found_inf = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
        skipped = None if found_inf is None else found_inf != 0
        for group, rate in zip(self.param_groups, self.rates, strict=True):
            weights = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not weights:
                continue
            gradients = [parameter.grad for parameter in weights]
            if grad_scale is not None:
                torch._foreach_mul_(gradients, grad_scale.double().reciprocal().float())
            if group["weight_decay"]:
                gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
            with nullcontext() if skipped is None else self._undone_where(skipped, weights):
                self.update(group, rate, weights, gradients)

    @contextmanager
    def _undone_where(self, skipped: torch.Tensor, weights: Tensors) -> Iterator[None]:
        """What happens inside to the weights and their state is undone where `skipped`, a bool on the device, is true.

        The values of before are put back, for no factor gets rid of a NaN. State that is new inside becomes zeros.
        """
        changing = self._changing(weights)
        before = dict(zip(changing, _copies(changing), strict=True))
        yield
        for tensor in self._changing(weights):
            if tensor in before:
                torch.where(skipped, before[tensor], tensor, out=tensor)
            else:
                tensor.masked_fill_(skipped, 0.0)

    def _changing(self, weights: Tensors) -> Tensors:
        """The weights and all their state."""
        return [*weights, *(tensor for weight in weights for tensor in self.state.get(weight, {}).values())]

    def buffers(self, name: str, weights: list[torch.Tensor]) -> list[torch.Tensor]:
        """The state tensors called `name` of these weights, zeros at first."""
        for weight in weights:
            if name not in self.state[weight]:
                self.state[weight][name] = torch.zeros_like(weight, memory_format=torch.preserve_format)
        return [self.state[weight][name] for weight in weights]

    def update(self, group: dict[str, Any], rate: torch.Tensor, weights: Tensors, gradients: Tensors) -> None:
        """Change `weights` by steps of size `rate`; `gradients` include the weight decay."""
        raise NotImplementedError


class SGD(ForeachOptimizer):
    """m = momentum*m - r*(g + d*w);  w = w + m."""

    def __init__(self, groups: Iterable[Any], learning_rate: float, momentum: float) -> None:
        super().__init__(groups, learning_rate, momentum=momentum)

    def update(self, group: dict[str, Any], rate: torch.Tensor, weights: Tensors, gradients: Tensors) -> None:
        if not group["momentum"]:
            _descend(weights, gradients, rate)
            return
        velocities = self.buffers("momentum", weights)
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_sub_(velocities, torch._foreach_mul(gradients, rate))
        torch._foreach_add_(weights, velocities)


class NAG(ForeachOptimizer):
    """m = momentum*m + (g + d*w);  w = w - r*(g + d*w + momentum*m)."""

    def __init__(self, groups: Iterable[Any], learning_rate: float, momentum: float) -> None:
        super().__init__(groups, learning_rate, momentum=momentum)

    def update(self, group: dict[str, Any], rate: torch.Tensor, weights: Tensors, gradients: Tensors) -> None:
        velocities = self.buffers("momentum", weights)
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, gradients)
        _descend(weights, list(torch._foreach_add(gradients, velocities, alpha=group["momentum"])), rate)


class Muon(NAG):
    """m = 0.6*m + g;  o = orthogonalised(g + 0.6*m), n of whose rows or columns are orthonormal;
    v = w - r*|w|*o/sqrt(n);  w = v*|w|/|v|.

    This is Jordan's Muon (see `orthogonalisation`), on the sphere of weights of one length: the length of a
    convolution's weight means little, as a batch norm follows, and so r is the angle of a step, about, in radians. All
    that is no weight of an inner convolution learns as with NAG, whose momentum is the one that is given: as the length
    of a step is fixed here, momentum makes it no longer, and the best one is another.

    `torch.optim.Muon` takes matrices only, one after the other, and neither keeps lengths nor has a rule for the rest.
    """

    def update(self, group: dict[str, Any], rate: torch.Tensor, weights: Tensors, gradients: Tensors) -> None:
        if not group["turns"]:
            super().update(group, rate, weights, gradients)
            return
        velocities = self.buffers("momentum", weights)
        torch._foreach_mul_(velocities, MUON_MOMENTUM)
        torch._foreach_add_(velocities, gradients)
        steps = orthogonalised(torch._foreach_add(gradients, velocities, alpha=MUON_MOMENTUM))
        lengths = torch._foreach_norm(weights)
        sizes = torch._foreach_mul(torch._foreach_mul(lengths, rate), [_rank(weight) ** -0.5 for weight in weights])
        torch._foreach_sub_(weights, torch._foreach_mul(steps, sizes))
        torch._foreach_mul_(weights, torch._foreach_div(lengths, torch._foreach_norm(weights)))


def _rank(weight: torch.Tensor) -> int:
    """The largest that the matrix of a convolution's weight can have."""
    return min(len(weight), weight[0].numel())


class Adam(ForeachOptimizer):
    """With g including d*w:  m = b1*m + (1-b1)*g;  v = b2*v + (1-b2)*g^2;
    w = w - r * sqrt(1-b2^t)/(1-b1^t) * m/(sqrt(v) + eps), t counting updates from 1."""

    def __init__(self, groups: Iterable[Any], learning_rate: float, beta_1: float, beta_2: float, eps: float) -> None:
        super().__init__(groups, learning_rate, beta_1=beta_1, beta_2=beta_2, eps=eps)

    def step_size(self, group: dict[str, Any]) -> float:
        if group["beta_1"] == 1.0:  # allowed, and then the mean never leaves 0
            return 0.0
        updates = group["updates"]
        corrected = (1.0 - group["beta_2"] ** updates) ** 0.5 / (1.0 - group["beta_1"] ** updates)
        return float(group["lr"] * corrected)

    def update(self, group: dict[str, Any], rate: torch.Tensor, weights: Tensors, gradients: Tensors) -> None:
        means, squares = self.buffers("mean", weights), self.buffers("square", weights)
        torch._foreach_lerp_(means, gradients, 1.0 - group["beta_1"])
        torch._foreach_mul_(squares, group["beta_2"])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1.0 - group["beta_2"])
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        _descend(weights, list(torch._foreach_div(means, roots)), rate)


class RMSProp(ForeachOptimizer):
    """With g including d*w:  n = gamma*n + (1-gamma)*g^2;  w = w - r*g/sqrt(n + eps)."""

    def __init__(self, groups: Iterable[Any], learning_rate: float, gamma: float, eps: float) -> None:
        super().__init__(groups, learning_rate, gamma=gamma, eps=eps)

    def update(self, group: dict[str, Any], rate: torch.Tensor, weights: Tensors, gradients: Tensors) -> None:
        squares = self.buffers("square", weights)
        torch._foreach_mul_(squares, group["gamma"])
        torch._foreach_addcmul_(squares, gradients, gradients, value=1.0 - group["gamma"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        _descend(weights, list(torch._foreach_div(gradients, roots)), rate)


def _copies(tensors: Tensors) -> Tensors:
    copies = [torch.empty_like(tensor) for tensor in tensors]
    torch._foreach_copy_(copies, tensors)
    return copies


def _descend(weights: Tensors, directions: Tensors, rate: torch.Tensor) -> None:
    """w = w - rate * direction."""
    torch._foreach_sub_(weights, torch._foreach_mul(directions, rate))


def _sgd(module: nn.Module, settings: Hyperparameters) -> ForeachOptimizer:
    return SGD(parameter_groups(module, settings.weight_decay), settings.learning_rate, settings.momentum)


def _nag(module: nn.Module, settings: Hyperparameters) -> ForeachOptimizer:
    return NAG(parameter_groups(module, settings.weight_decay), settings.learning_rate, settings.momentum)


def _muon(module: nn.Module, settings: Hyperparameters) -> ForeachOptimizer:
    return Muon(muon_groups(module, settings.weight_decay), settings.learning_rate, settings.momentum)


# The original ignores weight_decay for adam and rmsprop.
def _adam(module: nn.Module, settings: Hyperparameters) -> ForeachOptimizer:
    groups = parameter_groups(module, 0.0)
    return Adam(groups, settings.learning_rate, settings.beta_1, settings.beta_2, settings.eps)


def _rmsprop(module: nn.Module, settings: Hyperparameters) -> ForeachOptimizer:
    return RMSProp(parameter_groups(module, 0.0), settings.learning_rate, settings.gamma, settings.eps)


OPTIMIZERS: Mapping[str, Callable[[nn.Module, Hyperparameters], ForeachOptimizer]] = {
    "sgd": _sgd,
    "nag": _nag,
    "muon": _muon,
    "adam": _adam,
    "rmsprop": _rmsprop,
}
