"""A training job in its container, told from top to bottom.

The first process reads the job, finds the other hosts, starts one process for each GPU, and waits: for the end, for
a failure on any host, or for SIGTERM. Exit status:

0    the job is done, or was stopped and has left a complete model
1    a fault of imclass or of the machines, described in /opt/ml/output/failure
2    something that the user can put right, described there too
143  stopped before there was a model
"""

import logging
import os
import signal
import tempfile
import time
from pathlib import Path

from imclass.sagemaker.announcement import announce
from imclass.sagemaker.failure import Failure, JobFailedError, failure_of, first_cause, write_failure
from imclass.sagemaker.job import read_job
from imclass.sagemaker.layout import Layout
from imclass.sagemaker.log_lines import log_lines
from imclass.sagemaker.publishing import publish_model, publish_reports
from imclass.sagemaker.roll_call import RollCall, StoppedEarlyError, roll_call
from imclass.sagemaker.workers import STOPPED_EARLY, Workers, processes_per_host
from imclass.training.stop_request import StopRequest

log = logging.getLogger(__name__)

GPU_DEVICES = ("nvidia*", "kfd", "dxg")
"""Files in /dev of machines with GPUs: of NVIDIA, of AMD, and of Windows."""
LOOK_AGAIN_SECONDS = 0.1
GATHER_SECONDS = 3.0
"""After a process has failed, for the reasons of others: its own may only show that another one failed first."""
STOP_SECONDS = 90.0
"""From SIGTERM to the end of all processes; then there is time to write a model. The platform kills after 120."""


def run_container(layout: Layout) -> int:
    """Run the job; the exit status of the container."""
    # Process 1 of a container has no handlers of its own: signals that it does not handle are lost.
    with StopRequest(signal.SIGTERM, signal.SIGINT) as stop, log_lines():
        try:
            run_job(layout, stop)
        except StoppedEarlyError:
            log.warning("Stopped before there was a model")
            return STOPPED_EARLY
        except Exception as error:  # noqa: BLE001  (whatever it is, the platform is told)
            failure = failure_of(error)
            log.error("%s%s", failure.log_line, failure.details and f"\n{failure.details}")
            write_failure(layout.failure, failure)
            return failure.exit_status
        if stop.requested:
            log.info("Stopped; the same job goes on from %s", layout.checkpoints)
    return 0


def run_job(layout: Layout, stop: StopRequest) -> None:
    """From the files of the job to the model.

    Raises:
        UserError: the job cannot be run as it is.
        JobFailedError: a process or a host has failed.
        StoppedEarlyError: a stop was requested before there was a model.
    """
    job = read_job(layout)
    announce(job, layout)
    processes = processes_per_host(os.environ, gpu_count())
    with (
        tempfile.TemporaryDirectory(prefix="imclass-") as reports,
        roll_call(job.cluster, processes, stop_requested=lambda: stop.requested, port=job.cluster.port) as call,
    ):
        try:
            with Workers(processes, job.cluster, call, Path(reports)) as workers:
                have_ended = wait(workers, call, stop)
                stopped_early = workers.stopped_early
            call.finish()
        finally:
            if job.cluster.leads:
                publish_reports(layout)
    if job.cluster.leads:
        stopped_early = not publish_model(layout, recovers=not have_ended)
    if stopped_early:
        raise StoppedEarlyError


def gpu_count() -> int:
    """How many GPUs there are for this container.

    PyTorch is asked only where there may be any: loading it takes seconds, in which the processes that train could have
    begun.
    """
    if not any(next(Path("/dev").glob(pattern), None) for pattern in GPU_DEVICES):
        return 0
    import torch

    return torch.cuda.device_count()


def wait(workers: Workers, call: RollCall, stop: StopRequest) -> bool:
    """Wait for the end of all processes, and pass a stop on to them.

    Returns:
        False when a stop was requested that the processes could not answer: they had not begun to train, or take too
        long. There may be a checkpoint to make a model of.

    Raises:
        JobFailedError: a process of this host or another host has failed.
    """
    asked: float | None = None
    while not (workers.are_done or workers.stopped_early or workers.failures or call.failures):
        if stop.requested and asked is None:
            log.warning("Asked to stop: finishing the step, and saving")
            workers.ask_to_stop()
            asked = time.monotonic()
        if asked is not None and time.monotonic() - asked > STOP_SECONDS:
            log.warning("The step in progress takes longer than %g seconds, and is ended", STOP_SECONDS)
            return False
        time.sleep(LOOK_AGAIN_SECONDS)
    if workers.failures or call.failures:
        cause = gathered_cause(workers, call)
        if not (stop.requested and cause.is_consequence):  # one that stopped early leaves the others without a peer
            raise JobFailedError(cause)
        return False
    return not workers.stopped_early


def gathered_cause(workers: Workers, call: RollCall) -> Failure:
    """Tell the other hosts of a failure here, and find the one that began it: its report may come last."""
    told = 0
    deadline = time.monotonic() + GATHER_SECONDS
    while True:
        own, heard = workers.failures, call.failures
        if len(own) > told:
            call.tell(first_cause(own))
            told = len(own)
        cause = first_cause(own + heard)
        if not cause.is_consequence or time.monotonic() > deadline:
            return cause
        time.sleep(LOOK_AGAIN_SECONDS)
