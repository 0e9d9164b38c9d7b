"""The same transform over a Ray cluster: a task for each piece.

Tasks write their results themselves, to folders that all machines share, and only say how many images they did. A task
whose machine is lost is done again by another, which writes the same files: every image has one result. Machines need
imclass, and the model, the images and the output under the same paths.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from types import ModuleType
from typing import Any

from imclass.errors import UserError
from imclass.inference.transform.job import Job, do_pieces, failures_of, finish, open_job, pieces_to_do
from imclass.inference.transform.pieces import Piece
from imclass.inference.transform.request import Request
from imclass.inference.transform.transforming import Summary, Watcher, check_shared_work_folder
from imclass.ray_connection import connected

STALL_SECONDS = 1800.0  # how long no piece may be done before the driver gives up
FOREVER = -1  # Ray's word for any number of attempts; the stall ends them


def transform_on_ray(request: Request, address: str, watcher: Watcher, *, restart: bool = False) -> Summary:
    """Predict all images of a data set on the machines of a cluster.

    Args:
        address: of the cluster's head, HOST:PORT; auto for the one this machine belongs to; local for a new one on
            this machine alone.
        restart: remove the results that are there, and begin anew.

    Raises:
        UserError: Ray is not installed, there is no such cluster, or as `transform`.
    """
    check_shared_work_folder(request)
    with closing(open_job(request, restart=restart, to_compute=False)) as job:
        todo = pieces_to_do(job, job.pieces)
        remaining = sum(len(piece.images) for piece in todo)
        watcher.begin(len(job.images.keys), len(job.images.keys) - remaining)
        start = time.perf_counter()
        predicted = _on_cluster(address, job, todo, watcher) if todo else 0
        seconds = time.perf_counter() - start
        waiting = finish(job)
        failures = failures_of(job, job.pieces)
    return Summary(len(job.images.keys), predicted, failures, waiting, seconds)


def _on_cluster(address: str, job: Job, todo: Sequence[Piece], watcher: Watcher) -> int:
    ray = connected(address)
    try:
        return _gathered(ray, _submitted(ray, job.request, todo), watcher)
    finally:
        ray.shutdown()


def _submitted(ray: ModuleType, request: Request, todo: Sequence[Piece]) -> dict[Any, Piece]:
    """A task for each piece, by Ray's reference to it. A task takes as many cores as it has threads, and a GPU."""
    threads = request.computing.threads or 1
    request = replace(request, computing=replace(request.computing, threads=threads))
    with_gpu = request.computing.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
    task = ray.remote(num_cpus=threads, num_gpus=1 if with_gpu else 0, max_retries=FOREVER)(_do_piece)
    shared = ray.put(request)
    return {task.remote(shared, piece.number): piece for piece in todo}


def _gathered(ray: ModuleType, tasks: dict[Any, Piece], watcher: Watcher) -> int:
    predicted, waiting = 0, list(tasks)
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=1, timeout=STALL_SECONDS)
        if not done:
            raise UserError(f"no piece of the work was done for {STALL_SECONDS:g} seconds", where="ray")
        for reference in done:
            answer = ray.get(reference)
            if isinstance(answer, _Mistake):
                raise UserError(answer.what, where=answer.where, fix=answer.fix)
            predicted += answer
            watcher.advance(len(tasks[reference].images))
    return predicted


class _Mistake:
    """A UserError on its way; exceptions with keyword arguments do not travel."""

    def __init__(self, error: UserError) -> None:
        self.what, self.where, self.fix = error.what, error.where, error.fix


def _do_piece(request: Request, number: int) -> int | _Mistake:
    """The task: the number of images that it predicted."""
    try:
        job = _opened(request)
        return do_pieces(job, [job.pieces[number]])
    except UserError as error:
        return _Mistake(error)


@lru_cache(maxsize=1)
def _opened(request: Request) -> Job:
    """The job, opened once in each process of the cluster."""
    return open_job(request)
