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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from imclass.sagemaker.announcement import announce
from imclass.sagemaker.failure import Failure, JobFailedError, failure_of, first_cause, write_failure
from imclass.sagemaker.job import read_job
from imclass.sagemaker.layout import Layout
from imclass.sagemaker.log_lines import log_lines
from imclass.sagemaker.publishing import publish_model, publish_reports
from imclass.sagemaker.roll_call import RollCall, StoppedEarlyError, roll_call
from imclass.sagemaker.workers import STOPPED_EARLY, Workers, processes_per_host

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 0.1
GATHER_SECONDS = 3.0
"""After a process has failed, for the reasons of others: its own may only show that another one failed first."""
STOP_SECONDS = 90.0
"""From SIGTERM to the end of all processes; then there is time to write a model. The platform kills after 120."""


class StopRequest:
    """Set by SIGTERM and Ctrl-C.

    Attributes:
        seconds: when, on the monotonic clock; None before.
    """

    def __init__(self) -> None:
        self.seconds: float | None = None

    def requested(self) -> bool:
        return self.seconds is not None

    def request(self, number: int, frame: FrameType | None) -> None:
        if self.seconds is None:
            self.seconds = time.monotonic()


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Let SIGTERM and Ctrl-C be requests while the block runs. Process 1 of a container has no handlers of its own."""
    stop = StopRequest()
    before = {number: signal.signal(number, stop.request) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_container(layout: Layout) -> int:
    """Run the job; the exit status of the container."""
    with stop_request() as stop, log_lines():
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
        if stop.requested():
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
    processes = processes_per_host(os.environ, torch.cuda.device_count())
    with (
        tempfile.TemporaryDirectory(prefix="imclass-") as reports,
        roll_call(job.cluster, processes, stop_requested=stop.requested) as call,
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


def wait(workers: Workers, call: RollCall, stop: StopRequest) -> bool:
    """Wait for the end of all processes, and pass a stop on to them.

    Returns:
        False when a stop was requested, and the processes take too long for it.

    Raises:
        JobFailedError: a process of this host or another host has failed.
    """
    is_told = False
    while not (workers.are_done or workers.failures or call.failures):
        if stop.seconds is not None:
            if not is_told:
                log.warning("Asked to stop: finishing the step, and saving")
                workers.ask_to_stop()
                is_told = True
            if time.monotonic() - stop.seconds > STOP_SECONDS:
                log.warning("The step in progress takes longer than %g seconds, and is ended", STOP_SECONDS)
                return False
        time.sleep(LOOK_AGAIN_SECONDS)
    if workers.failures or call.failures:
        raise JobFailedError(gathered_cause(workers, call))
    return True


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
