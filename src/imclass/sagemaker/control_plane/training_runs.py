"""Training jobs at work: one thread for each, told from top to bottom.

What a thread has reached is in the state at any moment, so that another one goes on there after a restart. The job
itself runs under keepers, one for each host, which do not need the server.
"""

import logging
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from imclass.errors import UserError
from imclass.sagemaker.control_plane.account import Account
from imclass.sagemaker.control_plane.buckets import Buckets, Place
from imclass.sagemaker.control_plane.checkpoint_sync import CheckpointSync
from imclass.sagemaker.control_plane.job_folder import job_environment, upload_folder
from imclass.sagemaker.control_plane.job_hosts import JobHosts, LostError, host_name
from imclass.sagemaker.control_plane.job_input import write_input
from imclass.sagemaker.control_plane.keeper import Order, Result
from imclass.sagemaker.control_plane.log_files import LogFolder
from imclass.sagemaker.control_plane.runner import LocalRunner, Location, Runner
from imclass.sagemaker.control_plane.slots import Slots
from imclass.sagemaker.control_plane.state import Document, State
from imclass.sagemaker.control_plane.training_documents import (
    ACTIVE,
    KIND,
    MODEL,
    OUTPUT,
    STOPPING,
    advance,
    deadline,
    end,
    end_of_waiting,
    failure_reason,
    interrupt,
    output_place,
)
from imclass.sagemaker.control_plane.training_metrics import LOG_GROUP, final_metrics, host_logs

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 0.1
CHECKPOINT_SECONDS = 2.0
JOIN_SECONDS = 30.0
OUR_FAULT = "InternalServerError: We encountered an internal error. Please try again."
LOST = f"{OUR_FAULT} The process that kept the job is gone, perhaps because the machine was restarted."


class ServerStopsError(Exception):
    """The server ends; the job goes on without it."""


@dataclass(frozen=True)
class Places:
    """What all runs share.

    Attributes:
        folder: with a folder for each job that runs.
    """

    state: State
    buckets: Buckets
    logs: LogFolder
    slots: Slots
    account: Account
    folder: Path


class TrainingRun:
    """One job, from the queue to its end.

    Args:
        runner: where its hosts run.
        closing: set when the server ends.
    """

    def __init__(self, name: str, places: Places, runner: Runner, closing: threading.Event) -> None:
        self._name = name
        self._places = places
        self._runner = runner
        self._closing = closing
        self._stopping = threading.Event()
        self._interrupted = threading.Event()
        self._folder = places.folder / name

    def stop(self) -> None:
        """Let the job end soon; the state says so already."""
        self._stopping.set()
        self._runner.wake()

    def interrupt(self) -> None:
        """Take its hosts from the job, which goes on later; the state says so already."""
        self._interrupted.set()

    def run(self) -> None:
        """Bring the job to its end, whatever happens; for a thread."""
        try:
            while self._was_interrupted():
                pass
        except ServerStopsError:
            return
        except LostError:
            self._fail(LOST)
        except UserError as error:
            self._fail(f"ClientError: {error}")
        except Exception:
            log.exception("The training job %s cannot be run", self._name)
            self._fail(OUR_FAULT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _was_interrupted(self) -> bool:
        """One attempt: from the queue to the end of the job, or to an interruption."""
        with self._slots() as slots:
            if slots is None:
                self._end_in_queue()
                return False
            result = self._trained(slots)
            if result.ended_by == "stop" and self._goes_on_later():
                return True
            self._finish(result)
            return False

    @contextmanager
    def _slots(self) -> Iterator[Sequence[Location] | None]:
        """Wait for places; None when the job ends before it gets any. One that had places before a restart has them."""
        runner, document = self._runner, self._document
        taken: Sequence[Location] | None = document.get("slots")
        if taken is None:
            count = document["ResourceConfig"]["InstanceCount"]
            if count > runner.most_hosts:  # the server had more of them when the job was created
                raise UserError(
                    f"the job needs {count} slots at once, and the server has {runner.most_hosts} since it was started "
                    "again",
                    fix=f"Start it with --slots {count} or more, and create the job again.",
                )
            if runner.must_wait(count):
                self._advance("Pending")
            give_up_at = end_of_waiting(document)
            taken = runner.take(
                self._name,
                count,
                lambda: self._stopping.is_set() or self._closing.is_set() or time.time() > give_up_at,
            )
        if taken is None:
            self._check_closing()
            yield None
            return
        with self._places.state.changing(KIND, self._name) as changed:
            changed["slots"] = taken
        try:
            yield taken
        except ServerStopsError:  # the job keeps them
            raise
        except BaseException:
            runner.give_back(taken)
            raise
        runner.give_back(taken)

    def _trained(self, slots: Sequence[Location]) -> Result:
        """Start the hosts, as far as they were not started before, and wait for their end."""
        document = self._document
        hosts = self._hosts(document)
        if not hosts.were_started:
            self._advance("Downloading")
            shutil.rmtree(self._folder, ignore_errors=True)  # of an attempt that a restart has ended
            network = self._runner.network(slots)
            for host in hosts.all:
                write_input(host, network, document, self._places.buckets)
            with self._places.state.changing(KIND, self._name) as changed:
                changed["logStream"] = f"{self._name}/{hosts.leader.name}-{int(time.time())}"
                if changed["status"] != STOPPING:
                    advance(changed, "Training")
        self._start(hosts, slots)
        return self._wait(hosts)

    def _start(self, hosts: JobHosts, slots: Sequence[Location]) -> None:
        """Start the hosts that were not started before a restart of the server."""
        document = self._document
        until = deadline(document)
        for host, slot in zip(hosts.all, slots, strict=True):
            if not host.kept.was_started:
                order = Order("train", str(self._log_file(document, host.name)), until)
                share = self._runner.variables(slot)
                environment = job_environment(document, host.layout, self._places.account, share)
                self._runner.start(host, slot, order, environment)

    def _wait(self, hosts: JobHosts) -> Result:
        """Wait for the end of all hosts, and bring checkpoints to S3 meanwhile."""
        checkpoints = self._checkpoint_sync(hosts)
        brought = time.monotonic()
        while (result := hosts.result()) is None:
            if self._stopping.is_set() or self._interrupted.is_set():
                hosts.stop()
            if checkpoints is not None and time.monotonic() - brought > CHECKPOINT_SECONDS:
                checkpoints.bring()
                brought = time.monotonic()
            self._check_closing()
            time.sleep(LOOK_AGAIN_SECONDS)
        if checkpoints is not None:
            checkpoints.bring()
        return result

    def _checkpoint_sync(self, hosts: JobHosts) -> CheckpointSync | None:
        """What keeps the checkpoints of the leader in S3: no other host writes any."""
        config = self._document.get("CheckpointConfig")
        if config is None:
            return None
        place = Place.of(config["S3Uri"]).as_folder
        return CheckpointSync(hosts.leader.layout.checkpoints, self._places.buckets, place)

    def _goes_on_later(self) -> bool:
        """Whether the job was interrupted, and not stopped as well; then the next attempt is prepared."""
        with self._places.state.changing(KIND, self._name) as changed:
            goes_on = bool(changed.get("interrupt")) and changed["status"] != STOPPING
            if goes_on:
                interrupt(changed)
        self._interrupted.clear()
        return goes_on

    def _finish(self, result: Result) -> None:
        """Bring what the job has made to S3, and tell how it ended."""
        document = self._document
        hosts = self._hosts(document)
        was_stopped = result.ended_by == "max_runtime" or document["status"] == STOPPING
        has_model = result.exit_status == 0 or was_stopped
        if has_model and document["status"] != STOPPING:
            self._advance("Uploading")
        place, layout = output_place(document), hosts.leader.layout
        upload_folder(layout.output_data, self._places.buckets, place.below(OUTPUT))
        if has_model:
            upload_folder(layout.model, self._places.buckets, place.below(MODEL))
        with self._places.state.changing(KIND, self._name) as changed:
            changed["FinalMetricDataList"] = final_metrics(host_logs(self._places.logs, self._name))
            if result.ended_by == "max_runtime" and time.time() > end_of_waiting(changed):
                end(changed, "Stopped", "MaxWaitTimeExceeded")
            elif result.ended_by == "max_runtime":
                end(changed, "Stopped", "MaxRuntimeExceeded")
            elif was_stopped or changed["status"] == STOPPING:
                end(changed, "Stopped", "Stopped")
            elif result.pipe_failure is not None:
                end(changed, "Failed", "Failed", f"ClientError: {result.pipe_failure}")
            elif result.exit_status == 0:
                end(changed, "Completed", "Completed")
            else:
                reason = failure_reason(hosts.failed_host().layout.failure, result.exit_status)
                end(changed, "Failed", "Failed", reason)

    def _end_in_queue(self) -> None:
        with self._places.state.changing(KIND, self._name) as changed:
            end(changed, "Stopped", "Stopped" if self._stopping.is_set() else "MaxWaitTimeExceeded")

    def _fail(self, reason: str) -> None:
        with self._places.state.changing(KIND, self._name) as changed:
            end(changed, "Failed", "Failed", reason)
            hosts = self._hosts(changed)
        hosts.end()  # they may go on although the job has failed here, say because its checkpoints cannot be kept

    def _advance(self, secondary_status: str) -> None:
        with self._places.state.changing(KIND, self._name) as changed:
            if changed["status"] != STOPPING:
                advance(changed, secondary_status)

    @property
    def _document(self) -> Document:
        return self._places.state.get(KIND, self._name)

    def _hosts(self, document: Document) -> JobHosts:
        """The hosts of this attempt, whose folder is another one than those before."""
        return JobHosts(self._folder / str(document["attempt"]), document["ResourceConfig"]["InstanceCount"])

    def _log_file(self, document: Document, host: str) -> Path:
        stream: str = document["logStream"]
        file = self._places.logs.file(LOG_GROUP, stream.replace(f"/{host_name(0)}-", f"/{host}-"))
        assert file is not None
        return file

    def _check_closing(self) -> None:
        if self._closing.is_set():
            raise ServerStopsError


class TrainingRuns:
    """All jobs at work.

    Args:
        runner: where their hosts run; on this machine, in the slots, by default.
    """

    def __init__(self, places: Places, runner: Runner | None = None) -> None:
        self._places = places
        self._runner = runner or LocalRunner(places.slots)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[str, tuple[TrainingRun, threading.Thread]] = {}

    @property
    def most_hosts(self) -> int:
        """How many hosts a job can have."""
        return self._runner.most_hosts

    def start(self, name: str) -> None:
        """Put a job that is in the state to work, or into the queue."""
        run = TrainingRun(name, self._places, self._runner, self._closing)
        thread = threading.Thread(target=self._work, args=(name, run), name=f"training-job {name}")
        with self._lock:
            self._running[name] = run, thread
        thread.start()

    def _work(self, name: str, run: TrainingRun) -> None:
        try:
            run.run()
        finally:
            with self._lock:
                del self._running[name]

    def stop(self, name: str) -> None:
        """Let a job end soon, if it has not ended."""
        with self._lock, suppress(KeyError):
            self._running[name][0].stop()

    def interrupt(self, name: str) -> None:
        """Take its hosts from a job, if it has not ended."""
        with self._lock, suppress(KeyError):
            self._running[name][0].interrupt()

    def resume(self) -> None:
        """Go on with the jobs that were at work when the server ended: those that run before those that wait."""
        active = [document for status in ACTIVE for document in self._places.state.of_status(KIND, status)]
        active.sort(key=lambda document: ("slots" not in document, document["CreationTime"]))
        self._remove_left_over({document["TrainingJobName"] for document in active})
        self._runner.reclaim([location for document in active for location in document.get("slots", ())])
        for document in active:
            self.start(document["TrainingJobName"])
            if document["status"] == STOPPING:
                self.stop(document["TrainingJobName"])
            elif document.get("interrupt"):
                self.interrupt(document["TrainingJobName"])

    def _remove_left_over(self, names: set[str]) -> None:
        """Remove the folders of jobs that have ended."""
        if self._places.folder.is_dir():
            for folder in self._places.folder.iterdir():
                if folder.name not in names:
                    shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Leave the jobs to their keepers."""
        self._closing.set()
        self._runner.wake()
        with self._lock:
            threads = [thread for _, thread in self._running.values()]
        for thread in threads:
            thread.join(JOIN_SECONDS)
        if threads:
            log.info("%d training jobs are not at their end; a server with the same data takes them up", len(threads))
