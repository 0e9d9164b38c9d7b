"""How a run's processes keep their weights together.

`dist_sync` (and any number of processes on one machine): gradients are averaged at every step by
DistributedDataParallel. `dist_async` on several machines: each machine steps by itself, its processes in step with
each other, and the machines average their weights every `local_update_steps` steps: post-local SGD (Lin et al. 2018,
arXiv:1808.07217) as torch's distributed algorithms have it.
"""

import inspect
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as distributed
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.post_localSGD_hook import (
    PostLocalSGDState,
    post_localSGD_hook,
)
from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
from torch.nn.parallel import DistributedDataParallel

from imclass.hyperparameters import Hyperparameters
from imclass.training.process_group import Processes

if TYPE_CHECKING:
    from imclass.training.step import Training


# torch renamed the option after 2.11.
_RENAMED = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
_WITHOUT_BROADCAST: dict[str, Any] = {"forward_sync_buffers" if _RENAMED else "broadcast_buffers": False}


def updates_locally(kv_store: str, processes: Processes) -> bool:
    """Whether machines step by themselves between averagings. The original ignores kv_store on one machine."""
    return kv_store == "dist_async" and processes.machines > 1


def distribute(model: nn.Module, kv_store: str, processes: Processes) -> nn.Module:
    """Wrap a model so that its gradients are exchanged as `kv_store` says; the model itself when alone."""
    if processes.world_size == 1:
        return model
    on_gpu = processes.device.type == "cuda"
    # Statistics are averaged once an epoch (synchronise_statistics), not broadcast at every step.
    network = DistributedDataParallel(
        model,
        device_ids=[processes.device.index] if on_gpu else None,
        gradient_as_bucket_view=True,  # gradients are made where they are sent from
        **_WITHOUT_BROADCAST,
    )
    if updates_locally(kv_store, processes):
        machine, _ = distributed.new_subgroups(group_size=processes.local_world_size)  # type: ignore[no-untyped-call]
        state = PostLocalSGDState(None, machine, start_localSGD_iter=0)  # type: ignore[no-untyped-call]
        network.register_comm_hook(state, post_localSGD_hook)
    return network


def weight_averager(settings: Hyperparameters, processes: Processes) -> PeriodicModelAverager | None:
    """What averages the machines' weights every `local_update_steps` steps; None where gradients are exchanged."""
    if not updates_locally(settings.kv_store, processes):
        return None
    return PeriodicModelAverager(period=settings.local_update_steps, warmup_steps=0)


@torch.no_grad()
def synchronise(training: "Training") -> None:
    """Before evaluation: the same batch-norm statistics on all processes; with local updates also the same weights and
    the same state of the optimizer, so that a checkpoint of one process serves them all."""
    processes = training.processes
    if processes.world_size == 1:
        return
    models = [training.model] + ([training.average.model] if training.average else [])
    for model in models:
        processes.average(list(model.buffers()))
        if training.averager:
            processes.average([parameter.data for parameter in model.parameters()])
    if training.averager:
        states = training.optimizer.state.values()
        processes.average([tensor for state in states for tensor in state.values()])
