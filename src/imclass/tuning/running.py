"""A trial at work: its process, from its start to what it leaves."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace

from imclass.tuning.places import Place
from imclass.tuning.trial_folder import TrialFolder
from imclass.tuning.trials import Trial

STOP_SECONDS = 120.0
"""From SIGTERM to SIGKILL: for the step in hand, a checkpoint and a model."""


@dataclass
class Running:
    """A trial at work.

    Attributes:
        began: by `time.monotonic`.
        judged: epochs after which its fate was considered.
        is_stopping: it was asked to end.
    """

    trial: Trial
    folder: TrialFolder
    place: Place
    process: subprocess.Popen[bytes]
    began: float
    judged: int = 0
    is_stopping: bool = False

    @classmethod
    def start(cls, trial: Trial, folder: TrialFolder, place: Place) -> "Running":
        """Start the process of a trial whose order is in its folder."""
        with folder.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "imclass.tuning.trial_process", str(folder.path), str(os.getpid())],
                env={**os.environ, **place.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        return cls(trial, folder, place, process, time.monotonic())

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self.began

    def stop(self) -> None:
        """Let the trial end after the step in hand."""
        self.is_stopping = True
        if not self.has_ended:
            self.process.terminate()

    def wait(self, deadline: float) -> None:
        """Wait for the end of a process that was asked to stop, and kill it if it does not come.

        Args:
            deadline: by `time.monotonic`.
        """
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def outcome(self) -> tuple[Trial, str]:
        """How the trial, whose process has ended, came to its end, and the reason if it failed."""
        curve, value = self.folder.curve, self.folder.value
        trial, status = replace(self.trial, curve=curve), self.process.returncode
        was_stopped = self.is_stopping and status != 0  # one that had come to its end all the same is complete
        if status != 0 and not was_stopped:
            how = f"it was killed by {signal.Signals(-status).name}" if status < 0 else f"it ended with status {status}"
            return replace(trial, status="Failed"), self.folder.failure or f"{how}; {self.folder.log} may tell why"
        if value is None or not self.folder.model.exists():
            reason = "the objective is not a number" if curve else "it ended before its first epoch did"
            return replace(trial, status="Failed"), reason
        return replace(trial, status="Stopped" if was_stopped else "Completed", value=value), ""
