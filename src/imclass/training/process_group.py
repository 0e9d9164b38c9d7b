"""The processes of a run: one, or as many as torchrun started.

torchrun tells each process its place through RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE. Tensors on the
host travel by gloo, tensors on a GPU by nccl. Every collective has a deadline, and a worker that dies closes its
connections, so the others end with an error and never hang.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as distributed

from imclass.device import choose_device
from imclass.images import available_cores
from imclass.memory import keep_memory

COLLECTIVE_DEADLINE = timedelta(minutes=10)


@dataclass(frozen=True)
class Processes:
    """This process among those of the run.

    Attributes:
        rank: number of this process, 0 for the one that writes files.
        world_size: number of processes of the run.
        local_rank: number of this process on its machine.
        local_world_size: number of processes on this machine.
        device: where this process computes.
    """

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    device: torch.device

    @property
    def machines(self) -> int:
        return self.world_size // self.local_world_size

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def share(self, total: int) -> slice:
        """This process's contiguous share of `total` items; the shares of all processes cover each item once."""
        return slice(self.rank * total // self.world_size, (self.rank + 1) * total // self.world_size)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add a tensor over all processes, in place."""
        if self.world_size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def minimum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The smallest of a tensor's values on all processes, in place, element by element."""
        if self.world_size > 1:
            distributed.all_reduce(tensor, op=distributed.ReduceOp.MIN)
        return tensor

    def average(self, tensors: list[torch.Tensor]) -> None:
        """Replace floating-point tensors, in place, by their mean over all processes."""
        for tensor in tensors:
            if tensor.is_floating_point():
                self.sum(tensor).div_(self.world_size)

    def gather(self, item: Any) -> list[Any]:
        """One picklable item from every process, in rank order, on every process."""
        if self.world_size == 1:
            return [item]
        items: list[Any] = [None] * self.world_size
        distributed.all_gather_object(items, item)
        return items

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any process. All processes must ask at the same point."""
        if self.world_size == 1:
            return flag
        return bool(self.sum(torch.tensor(int(flag))).item())

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.any(False)


def is_first() -> bool:
    """Whether this process is the one of rank 0, before it has joined the others."""
    return int(os.environ.get("RANK", "0")) == 0


def is_first_of_machine() -> bool:
    """Whether this process is the one of its machine that writes the log, before it has joined the others."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0


@contextmanager
def join(device: str = "auto") -> Iterator[Processes]:
    """Join the processes that torchrun started, or be the only one, and leave when the block ends."""
    rank = int(os.environ.get("RANK", "0"))
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", str(world_size)))
    chosen = choose_device(device, local_rank)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    else:
        keep_memory()
    processes = Processes(rank, world_size, local_rank, local_world_size, chosen)
    if world_size == 1:
        yield processes
        return
    if chosen.type == "cpu":  # torchrun asks for one thread a process, whatever the number of cores
        torch.set_num_threads(max(1, available_cores() // local_world_size))
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    distributed.init_process_group(
        backend,
        timeout=COLLECTIVE_DEADLINE,
        device_id=chosen if chosen.type == "cuda" else None,
    )
    try:
        yield processes
    finally:
        distributed.destroy_process_group()
