"""Batch norm and what follows it in a residual network, in one place, so that it can be done in one go.

Without more, these are PyTorch's own operations. For the steps of a training on a GPU `kernels` makes them one.

A residual unit sends its input two ways. `Branches` names the two from where the unit's input is made, so that their
gradients are added there, in the kernels, and not in a pass over memory of its own.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from imclass.models.fused import norm as fused
from imclass.models.kernels import Switchable


class BatchNorm2d(Switchable, nn.BatchNorm2d):
    """PyTorch's batch norm, which may also be computed together with its neighbours."""

    def is_fused(self, x: Tensor) -> bool:
        """Whether a batch (N, C, H, W) is normalised in imclass's kernels: there has to be more than one value."""
        return self.in_kernels and self.training and x.numel() > x.shape[1]

    def forward(self, input: Tensor) -> Tensor:
        return fused.norm(input, self) if self.is_fused(input) else super().forward(input)


class Branches(NamedTuple):
    """The two ways through a residual unit, (N, C, H, W) each; often the same tensor, which is left as it is.

    Attributes:
        residual: what its convolutions get.
        shortcut: what goes past them.
    """

    residual: Tensor
    shortcut: Tensor


def norm_relu(norm: nn.Module, x: Tensor) -> Tensor:
    """relu(norm(x)), of (N, C, H, W)."""
    if isinstance(norm, BatchNorm2d) and norm.is_fused(x):
        return fused.norm_relu(x, norm)
    return functional.relu(norm(x), inplace=True)


def norm_relu_branch_before(norm: nn.Module, x: Tensor) -> Branches:
    """relu(norm(x)) for the convolutions and x for the shortcut, of (N, C, H, W)."""
    if isinstance(norm, BatchNorm2d) and norm.is_fused(x):
        return Branches(*fused.norm_relu_branch_before(x, norm))
    return Branches(norm_relu(norm, x), x)


def norm_relu_branch_after(norm: nn.Module, x: Tensor) -> Branches:
    """relu(norm(x)) for both, of (N, C, H, W)."""
    if isinstance(norm, BatchNorm2d) and norm.is_fused(x):
        return Branches(*fused.norm_relu_branch_after(x, norm))
    activated = norm_relu(norm, x)
    return Branches(activated, activated)


def norm_add_relu_branch_after(
    norm: nn.Module, x: Tensor, shortcut: Tensor, shortcut_norm: nn.Module | None = None
) -> Branches:
    """relu(norm(x) + shortcut) for both, of (N, C, H, W); the shortcut is normalised first if it has a norm."""
    if isinstance(norm, BatchNorm2d) and norm.is_fused(x):
        if isinstance(shortcut_norm, BatchNorm2d) and shortcut_norm.is_fused(shortcut):
            return Branches(*fused.norms_add_relu_branch_after(x, shortcut, norm, shortcut_norm))
        return Branches(*fused.norm_add_relu_branch_after(x, _normalised(shortcut, shortcut_norm), norm))
    residual = norm(x)
    residual += _normalised(shortcut, shortcut_norm)
    activated = functional.relu(residual, inplace=True)
    return Branches(activated, activated)


def _normalised(shortcut: Tensor, norm: nn.Module | None) -> Tensor:
    normalised: Tensor = shortcut if norm is None else norm(shortcut)
    return normalised


def norm_relu_pool(norm: nn.Module, pool: nn.Module, x: Tensor) -> Tensor:
    """pool(relu(norm(x))), of (N, C, H, W); the pool of the large stem, see `resnet`."""
    if isinstance(norm, BatchNorm2d) and norm.is_fused(x):
        return fused.norm_relu_pool(x, norm)
    pooled: Tensor = pool(functional.relu(norm(x), inplace=True))
    return pooled
