"""Batch norm over the batches of all processes (`sync_batch_norm`)."""

from typing import Any

import torch
import torch.distributed as distributed
from torch import nn

from imclass.training.process_group import Processes


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose training statistics are those of all processes together, on any device.

    torch's own SyncBatchNorm exists for GPUs only; this one serves the CPU.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(input)
        values = input.float()
        sums = torch.cat([values.sum(dim=(0, 2, 3)), values.new_full((1,), values.numel() / values.shape[1])])
        sums = _sum_over_processes(sums)
        count = sums[-1]
        mean = sums[:-1] / count
        centred = values - mean[None, :, None, None]
        variance = _sum_over_processes(centred.square().sum(dim=(0, 2, 3))) / count
        self._track(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        output: torch.Tensor = centred * scale[None, :, None, None] + self.bias[None, :, None, None]
        return output.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def synchronise_batch_norm(model: nn.Module, processes: Processes) -> nn.Module:
    """Replace every batch norm of a model by one that sees the batches of all processes. Weights are kept."""
    if processes.device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, _synchronised(child))
    return model


def _synchronised(norm: nn.BatchNorm2d) -> SynchronisedBatchNorm2d:
    copy = SynchronisedBatchNorm2d(norm.num_features, norm.eps, norm.momentum)
    copy.weight, copy.bias = norm.weight, norm.bias
    copy.running_mean, copy.running_var = norm.running_mean, norm.running_var
    copy.num_batches_tracked = norm.num_batches_tracked
    return copy


class _SumOverProcesses(torch.autograd.Function):
    """The sum over all processes. Every process's sum depends on every process's values, so gradients sum up too."""

    @staticmethod
    def forward(context: Any, values: torch.Tensor) -> torch.Tensor:
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
        summed = gradients[0].contiguous().clone()
        distributed.all_reduce(summed)
        return summed


def _sum_over_processes(values: torch.Tensor) -> torch.Tensor:
    summed: torch.Tensor = _SumOverProcesses.apply(values)  # type: ignore[no-untyped-call]
    return summed
