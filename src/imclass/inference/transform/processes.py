"""The processes that torchrun started: each takes a shard, and none ends before all are done.

torchrun stops all processes as soon as one ends with an error status, and images that failed are such a status. So the
processes wait for each other at the end, through torchrun's own key-value store. They send no results to each other.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from imclass.errors import UserError
from imclass.inference.transform.pieces import Shard

STALL_SECONDS = 1800.0  # how long no process may finish a batch before the others give up
POLL_SECONDS = 0.1
FAREWELL_SECONDS = 10.0

_BATCHES = "imclass/transform/batches"


@dataclass(frozen=True)
class Place:
    """This process among those of the job.

    Attributes:
        shard: its share.
        local_rank: its number on its machine.
        local_world_size: number of processes on its machine.
        note_batch: to be called after each batch.
        wait_for_all: to be called with the name of a point; returns when all processes have come to it.
    """

    shard: Shard
    local_rank: int = 0
    local_world_size: int = 1
    note_batch: Callable[[], None] = lambda: None
    wait_for_all: Callable[[str], None] = lambda point: None


def is_under_torchrun() -> bool:
    """Whether this is one of several processes that torchrun started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def place_under_torchrun() -> Place:
    """Join the processes that torchrun started."""
    store, rank, world_size = next(rendezvous("env://", timeout=timedelta(seconds=STALL_SECONDS)))
    return Place(
        Shard(rank, world_size),
        int(os.environ.get("LOCAL_RANK", "0")),
        int(os.environ.get("LOCAL_WORLD_SIZE", str(world_size))),
        note_batch=lambda: _count(store, _BATCHES),
        wait_for_all=lambda point: _wait_for_all(store, rank, world_size, f"imclass/transform/{point}"),
    )


def _wait_for_all(store: Store, rank: int, world_size: int, point: str) -> None:
    _count(store, point)
    deadline, batches = time.monotonic() + STALL_SECONDS, 0
    while store.add(point, 0) < world_size:
        if (now_done := store.add(_BATCHES, 0)) != batches:
            deadline, batches = time.monotonic() + STALL_SECONDS, now_done
        if time.monotonic() > deadline:
            raise UserError(f"other processes of this job have done nothing for {STALL_SECONDS:g} seconds")
        time.sleep(POLL_SECONDS)
    _count(store, f"{point}/seen")
    # Without torchrun the first process keeps the store, and must not end while another still asks it.
    deadline = time.monotonic() + FAREWELL_SECONDS
    while rank == 0 and store.add(f"{point}/seen", 0) < world_size and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _count(store: Store, key: str) -> None:
    store.add(key, 1)
