"""Batch norm over the batches of all processes (`sync_batch_norm`)."""

import torch
import torch.distributed.nn.functional as collective
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


def _sum_over_processes(values: torch.Tensor) -> torch.Tensor:
    """The sum over all processes, through which gradients flow."""
    summed: torch.Tensor = collective.all_reduce(values)  # type: ignore[no-untyped-call]
    return summed
