"""Batch norm and what follows it in a residual network, in one place, so that it can be done in one go.

Without more, these are PyTorch's own operations. For the steps of a training on a GPU `kernels` makes them one.
"""

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


def norm_relu(norm: nn.Module, x: Tensor) -> Tensor:
    """relu(norm(x)), of (N, C, H, W)."""
    if isinstance(norm, BatchNorm2d) and norm.is_fused(x):
        return fused.norm_relu(x, norm)
    return functional.relu(norm(x), inplace=True)


def norm_add_relu(norm: nn.Module, x: Tensor, shortcut: Tensor) -> Tensor:
    """relu(norm(x) + shortcut), of (N, C, H, W)."""
    if isinstance(norm, BatchNorm2d) and norm.is_fused(x):
        return fused.norm_add_relu(x, shortcut, norm)
    residual = norm(x)
    residual += shortcut
    return functional.relu(residual, inplace=True)


def norm_relu_pool(norm: nn.Module, pool: nn.Module, x: Tensor) -> Tensor:
    """pool(relu(norm(x))), of (N, C, H, W); the pool of the large stem, see `resnet`."""
    if isinstance(norm, BatchNorm2d) and norm.is_fused(x):
        return fused.norm_relu_pool(x, norm)
    pooled: Tensor = pool(functional.relu(norm(x), inplace=True))
    return pooled
