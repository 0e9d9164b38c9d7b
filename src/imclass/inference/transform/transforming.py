"""A batch transform, told from its request to its end."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from imclass.data.remote.addresses import is_remote
from imclass.errors import UserError
from imclass.images import available_cores
from imclass.inference.transform.job import do_pieces, failures_of, finish, open_job
from imclass.inference.transform.pieces import Shard
from imclass.inference.transform.processes import Place, is_under_torchrun, place_under_torchrun
from imclass.inference.transform.request import Request
from imclass.inference.transform.work_folder import Failure


class Watcher(Protocol):
    """Is told how far this process has come."""

    def begin(self, images: int, already: int) -> None:
        """The process has so many images to do, of which some have results already."""
        ...

    def advance(self, images: int) -> None:
        """So many more are done."""
        ...


@dataclass(frozen=True)
class Summary:
    """What came of a transform.

    Attributes:
        images: number of images of the job, of all shards.
        predicted: number of images that this process worked on now, those that failed included.
        failures: images that failed: of the whole job when it is finished, else of this shard.
        waiting_pieces: pieces that other shards have not done yet; 0 when the output is complete.
        seconds: of reading, computing and writing, without opening the model.
    """

    images: int
    predicted: int
    failures: Sequence[Failure]
    waiting_pieces: int
    seconds: float


def transform(request: Request, watcher: Watcher, *, shard: Shard | None = None, restart: bool = False) -> Summary:
    """Predict all images of a data set, and go on where an earlier attempt ended.

    Args:
        shard: share of this process; by default all, or what torchrun gives.
        restart: remove the results that are there, and begin anew.

    Raises:
        UserError: something of it cannot be opened or written, or the output folder belongs to another job. Images that
            cannot be read are no error.
    """
    place = _place(shard)
    if restart and place.shard.count > 1:
        raise UserError(
            "several processes cannot begin anew together",
            where="restart",
            fix=f"Remove {request.output} and {request.work_folder} and start them without it.",
        )
    if place.shard.count > place.local_world_size:
        check_shared_work_folder(request)
    with closing(open_job(_shared_machine(request, place), local_rank=place.local_rank, restart=restart)) as job:
        own = place.shard.of(job.pieces)

        def on_batch(images: int) -> None:
            watcher.advance(images)
            place.note_batch()

        start = time.perf_counter()
        predicted = do_pieces(job, own, watcher.begin, on_batch)
        seconds = time.perf_counter() - start
        place.wait_for_all("predicted")
        waiting = finish(job)
        place.wait_for_all("finished")
        failures = failures_of(job, own if waiting else job.pieces)
    return Summary(len(job.images.keys), predicted, failures, waiting, seconds)


def check_shared_work_folder(request: Request) -> None:
    """Check that processes which may be on several machines have a work folder in common.

    Raises:
        UserError: results go to a bucket, and the work folder would be in the cache of each machine.
    """
    if is_remote(request.output) and request.work_dir is None:
        raise UserError(
            "the results are in a bucket, and the processes have no folder in common for what is needed to go on",
            where="work_dir",
            fix="Name a folder that all of them see with --work-dir.",
        )


def _place(shard: Shard | None) -> Place:
    if not is_under_torchrun():
        return Place(shard or Shard())
    if shard is not None:
        raise UserError(
            "torchrun shares out the work of its processes itself", where="num_shards", fix="Leave out the shards."
        )
    return place_under_torchrun()


def _shared_machine(request: Request, place: Place) -> Request:
    """The request with this process's share of the machine's cores."""
    if place.local_world_size == 1:
        return request
    cores = max(1, available_cores() // place.local_world_size)
    torch.set_num_threads(cores)  # torchrun asks for one, whatever the number of cores
    threads = request.computing.threads or cores
    return replace(request, computing=replace(request.computing, threads=threads))
