"""Jobs that one container of this machine does: a keeper runs it, and what it makes is brought to S3 meanwhile."""

import shutil
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from imclass.sagemaker.control_plane.jobs.failure_reasons import LONGEST_REASON, failure_reason
from imclass.sagemaker.control_plane.jobs.folder import container_environment
from imclass.sagemaker.control_plane.jobs.keeper import Kept, Order, Result, end_keepers
from imclass.sagemaker.control_plane.jobs.runner import Location
from imclass.sagemaker.control_plane.jobs.runs import JobRun
from imclass.sagemaker.control_plane.store.state import Document
from imclass.sagemaker.layout import Layout

Ending = Literal["completed", "failed", "stopped"]


class KeptRun(JobRun):
    """One job, from the queue to its end. Its document in the state has its name, and `logStream`.

    Attributes:
        command: what the keeper runs, as `contained` knows it.
        log_group: of its log.
        endings: the statuses of jobs that have ended.
        end_member: member of its document with the time when it ended.
    """

    command: ClassVar[str]
    log_group: ClassVar[str]
    endings: ClassVar[Mapping[Ending, str]]
    end_member: ClassVar[str]

    @abstractmethod
    def prepare(self, document: Document) -> None:
        """Put into the folder, which exists, what the job needs.

        Raises:
            UserError: it cannot be had.
        """

    @abstractmethod
    def begin(self, document: Document) -> Mapping[str, str]:
        """Enter into the document that the work begins; returns the job's own variables."""

    @abstractmethod
    def bring(self, document: Document) -> None:
        """Bring to S3 what the job has made since the last time.

        Raises:
            UserError: the bucket is gone, or has no space.
        """

    @abstractmethod
    def deadline(self, document: Document) -> float:
        """When a job that begins now is stopped, in seconds since 1970."""

    @property
    def layout(self) -> Layout:
        """What the job finds in place of /opt/ml."""
        return Layout(self.folder / "ml")

    def work(self) -> None:
        """As `JobRun.work`."""
        with self.taken_slots() as slots:
            if slots is None:
                self._end("stopped")
            else:
                self._finish(self._result(slots))

    def _result(self, slots: Sequence[Location]) -> Result:
        """Start the job, unless a keeper is at it already, and wait for its end."""
        kept, document = Kept(self.folder), self.document
        if not kept.was_started:
            shutil.rmtree(self.folder, ignore_errors=True)  # of an attempt that a restart has ended
            self.layout.root.mkdir(parents=True)
            self.prepare(document)
            self._start(kept, slots[0])
        return self.wait(kept.ended, kept.stop, lambda: self.bring(document))

    def _start(self, kept: Kept, slot: Location) -> None:
        with self.changing() as changed:
            own = self.begin(changed)
            document = dict(changed)
        share = self.places.runner.variables(slot)
        environment = container_environment(own, share, self.layout, self.places.account)
        kept.start(Order(self.command, str(self._log_file(document)), self.deadline(document)), environment)

    def _finish(self, result: Result) -> None:
        """Tell how the job ended."""
        if result.ended_by == "max_runtime":
            self._end("stopped", "The job ran longer than it may.")
        elif result.ended_by == "stop":
            self._end("stopped")
        elif result.exit_status == 0:
            self._end("completed")
        else:
            self._end("failed", failure_reason(self.layout.failure, result.exit_status))

    def fail(self, reason: str) -> None:
        """As `JobRun.fail`."""
        self._end("failed", reason)
        end_keepers([Kept(self.folder)])  # it may go on although it has failed here: its results cannot be kept

    def _end(self, ending: Ending, reason: str | None = None) -> None:
        with self.changing() as changed:
            was_stopped = changed["status"] == self.active[-1]
            changed["status"] = self.endings["stopped" if was_stopped and ending == "completed" else ending]
            changed[self.end_member] = time.time()
            if reason is not None:
                changed["FailureReason"] = reason[:LONGEST_REASON]

    def _log_file(self, document: Document) -> Path:
        """Of the job's first stream."""
        file = self.places.logs.file(self.log_group, document["logStream"])
        assert file is not None
        return file
