"""Training jobs at work, told from top to bottom: attempts, each with its hosts, each host with a keeper of its own."""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from imclass.sagemaker.control_plane.jobs.failure_reasons import failure_reason
from imclass.sagemaker.control_plane.jobs.folder import container_environment, upload_folder
from imclass.sagemaker.control_plane.jobs.hosts import JobHosts, host_name
from imclass.sagemaker.control_plane.jobs.keeper import Order, Result
from imclass.sagemaker.control_plane.jobs.runner import Location
from imclass.sagemaker.control_plane.jobs.runs import JobRun, JobRuns, Places
from imclass.sagemaker.control_plane.store.buckets import Place
from imclass.sagemaker.control_plane.store.state import Document
from imclass.sagemaker.control_plane.training.checkpoint_sync import CheckpointSync
from imclass.sagemaker.control_plane.training.documents import (
    ACTIVE,
    KIND,
    MODEL,
    OUTPUT,
    STOPPING,
    advance,
    deadline,
    end,
    end_of_waiting,
    interrupt,
    output_place,
)
from imclass.sagemaker.control_plane.training.job_input import write_input
from imclass.sagemaker.control_plane.training.metrics import LOG_GROUP, final_metrics, host_logs


class TrainingRun(JobRun):
    """One training job."""

    kind = KIND
    name_member = "TrainingJobName"
    active = ACTIVE

    def __init__(self, name: str, places: Places, closing: threading.Event) -> None:
        super().__init__(name, places, closing)
        self._interrupted = threading.Event()

    def interrupt(self) -> None:
        """Take its hosts from the job, which goes on later; the state says so already."""
        self._interrupted.set()

    @property
    def is_to_end(self) -> bool:
        """As `JobRun.is_to_end`."""
        return self.is_stopping or self._interrupted.is_set()

    def hosts_of(self, document: Document) -> int:
        """As `JobRun.hosts_of`."""
        count: int = document["ResourceConfig"]["InstanceCount"]
        return count

    def enter_queue(self) -> None:
        """As `JobRun.enter_queue`."""
        self._advance("Pending")

    def given_up_at(self, document: Document) -> float:
        """As `JobRun.given_up_at`."""
        return end_of_waiting(document)

    def work(self) -> None:
        """As `JobRun.work`."""
        while self._was_interrupted():
            pass

    def _was_interrupted(self) -> bool:
        """One attempt: from the queue to the end of the job, or to an interruption."""
        with self.taken_slots() as slots:
            if slots is None:
                self._end_in_queue()
                return False
            result = self._trained(slots)
            if result.ended_by == "stop" and self._goes_on_later():
                return True
            self._finish(result)
            return False

    def _trained(self, slots: Sequence[Location]) -> Result:
        """Start the hosts, as far as they were not started before, and wait for their end."""
        document = self.document
        hosts = self._hosts(document)
        if not hosts.were_started:
            self._advance("Downloading")
            shutil.rmtree(self.folder, ignore_errors=True)  # of an attempt that a restart has ended
            network = self.places.runner.network(slots)
            for host in hosts.all:
                write_input(host, network, document, self.places.buckets)
            with self.changing() as changed:
                changed["logStream"] = f"{self.name}/{hosts.leader.name}-{int(time.time())}"
                if changed["status"] != STOPPING:
                    advance(changed, "Training")
        self._start(hosts, slots)
        return self.wait(hosts.result, hosts.stop, self._bring_checkpoints(hosts))

    def _start(self, hosts: JobHosts, slots: Sequence[Location]) -> None:
        """Start the hosts that were not started before a restart of the server."""
        document = self.document
        until, own = deadline(document), variables_of(document)
        for host, slot in zip(hosts.all, slots, strict=True):
            if not host.kept.was_started:
                order = Order("train", str(self._log_file(document, host.name)), until)
                share = self.places.runner.variables(slot)
                environment = container_environment(own, share, host.layout, self.places.account)
                self.places.runner.start(host, slot, order, environment)

    def _bring_checkpoints(self, hosts: JobHosts) -> Callable[[], None]:
        """What keeps the checkpoints of the leader in S3: no other host writes any."""
        config = self.document.get("CheckpointConfig")
        if config is None:
            return lambda: None
        place = Place.of(config["S3Uri"]).as_folder
        return CheckpointSync(hosts.leader.layout.checkpoints, self.places.buckets, place).bring

    def _goes_on_later(self) -> bool:
        """Whether the job was interrupted, and not stopped as well; then the next attempt is prepared."""
        with self.changing() as changed:
            goes_on = bool(changed.get("interrupt")) and changed["status"] != STOPPING
            if goes_on:
                interrupt(changed)
        self._interrupted.clear()
        return goes_on

    def _finish(self, result: Result) -> None:
        """Bring what the job has made to S3, and tell how it ended."""
        document = self.document
        hosts = self._hosts(document)
        was_stopped = result.ended_by == "max_runtime" or document["status"] == STOPPING
        has_model = result.exit_status == 0 or was_stopped
        if has_model and document["status"] != STOPPING:
            self._advance("Uploading")
        place, layout = output_place(document), hosts.leader.layout
        upload_folder(layout.output_data, self.places.buckets, place.below(OUTPUT))
        if has_model:
            upload_folder(layout.model, self.places.buckets, place.below(MODEL))
        with self.changing() as changed:
            changed["FinalMetricDataList"] = final_metrics(host_logs(self.places.logs, self.name))
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
        with self.changing() as changed:
            end(changed, "Stopped", "Stopped" if self.is_stopping else "MaxWaitTimeExceeded")

    def fail(self, reason: str) -> None:
        """As `JobRun.fail`."""
        with self.changing() as changed:
            end(changed, "Failed", "Failed", reason)
            hosts = self._hosts(changed)
        hosts.end()  # they may go on although the job has failed here, say because its checkpoints cannot be kept

    def _advance(self, secondary_status: str) -> None:
        with self.changing() as changed:
            if changed["status"] != STOPPING:
                advance(changed, secondary_status)

    def _hosts(self, document: Document) -> JobHosts:
        """The hosts of this attempt, whose folder is another one than those before."""
        return JobHosts(self.folder / str(document["attempt"]), self.hosts_of(document))

    def _log_file(self, document: Document, host: str) -> Path:
        stream: str = document["logStream"]
        file = self.places.logs.file(LOG_GROUP, stream.replace(f"/{host_name(0)}-", f"/{host}-"))
        assert file is not None
        return file


def variables_of(document: Document) -> dict[str, str]:
    """The variables of a job's containers."""
    return {
        **document.get("Environment", {}),
        "TRAINING_JOB_NAME": document["TrainingJobName"],
        "TRAINING_JOB_ARN": document["TrainingJobArn"],
    }


class TrainingRuns(JobRuns[TrainingRun]):
    """All training jobs at work."""

    def __init__(self, places: Places) -> None:
        super().__init__(places, TrainingRun)

    def interrupt(self, name: str) -> None:
        """Take its hosts from a job, if it has not ended."""
        if (run := self.at_work(name)) is not None:
            run.interrupt()

    def take_up(self, name: str, document: Document) -> None:
        """As `JobRuns.take_up`; an interruption that was under way goes on too."""
        super().take_up(name, document)
        if document.get("interrupt") and document["status"] != STOPPING:
            self.interrupt(name)
