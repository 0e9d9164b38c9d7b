"""Training jobs at work: one thread for each, told from top to bottom.

What a thread has reached is in the state at any moment, so that another one goes on there after a restart. The job
itself runs under a keeper, which does not need the server.
"""

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from imclass.errors import UserError
from imclass.sagemaker.control_plane.account import Account
from imclass.sagemaker.control_plane.buckets import Buckets, Place
from imclass.sagemaker.control_plane.checkpoint_sync import CheckpointSync
from imclass.sagemaker.control_plane.job_folder import HOST, job_environment, upload_folder, write_input
from imclass.sagemaker.control_plane.keeper import LAST_LINES_SECONDS, STOP_SECONDS, Kept, Order, Result
from imclass.sagemaker.control_plane.log_files import LogFolder
from imclass.sagemaker.control_plane.slots import Slots, slot_environment
from imclass.sagemaker.control_plane.state import Document, State
from imclass.sagemaker.control_plane.training_documents import (
    ACTIVE,
    KIND,
    MODEL,
    OUTPUT,
    STOPPING,
    advance,
    end,
    failure_reason,
    final_metrics,
    output_place,
)
from imclass.sagemaker.layout import Layout

log = logging.getLogger(__name__)

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
LOOK_AGAIN_SECONDS = 0.1
CHECKPOINT_SECONDS = 2.0
JOIN_SECONDS = 30.0
OUR_FAULT = "InternalServerError: We encountered an internal error. Please try again."
LOST = f"{OUR_FAULT} The process that kept the job is gone, perhaps because the machine was restarted."


class ServerStopsError(Exception):
    """The server ends; the job goes on without it."""


class LostError(Exception):
    """Nobody keeps the job any more, and it has not told how it ended."""


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
        closing: set when the server ends.
    """

    def __init__(self, name: str, places: Places, closing: threading.Event) -> None:
        self._name = name
        self._places = places
        self._closing = closing
        self._stopping = threading.Event()
        self._folder = places.folder / name
        self._layout = Layout(self._folder / "ml")

    def stop(self) -> None:
        """Let the job end soon; the state says so already."""
        self._stopping.set()
        self._places.slots.wake()

    def run(self) -> None:
        """Bring the job to its end, whatever happens; for a thread."""
        try:
            with self._slot() as slot:
                if slot is None:
                    self._end_in_queue()
                else:
                    self._finish(self._trained(slot))
        except ServerStopsError:
            return
        except LostError:
            self._fail(LOST)
        except UserError as error:
            self._fail(f"ClientError: {error}")
        except Exception:
            log.exception("The training job %s cannot be run", self._name)
            self._fail(OUR_FAULT)
        self._end_keeper()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def _slot(self) -> Iterator[int | None]:
        """Wait for a place; None when the job was stopped meanwhile. One that had a place before a restart has it."""
        slots, document = self._places.slots, self._document
        slot: int | None = document.get("slot")
        if slot is None:
            if slots.are_taken:
                self._advance("Pending")
            slot = slots.take(lambda: self._stopping.is_set() or self._closing.is_set())
            self._check_closing()
        try:
            if slot is not None:
                with self._places.state.changing(KIND, self._name) as changed:
                    changed["slot"] = slot
            yield slot
        finally:
            if slot is not None:
                slots.give_back(slot)

    def _trained(self, slot: int) -> Result:
        """Start the job, unless a keeper is at it already, and wait for its end."""
        kept = Kept(self._folder)
        if not kept.was_started:
            self._advance("Downloading")
            shutil.rmtree(self._folder, ignore_errors=True)  # of an attempt that a restart has ended
            write_input(self._layout, self._document, self._places.buckets)
            self._start(kept, slot)
        return self._wait(kept)

    def _start(self, kept: Kept, slot: int) -> None:
        with self._places.state.changing(KIND, self._name) as changed:
            changed["logStream"] = f"{self._name}/{HOST}-{int(time.time())}"
            if changed["status"] != STOPPING:
                advance(changed, "Training")
            document = dict(changed)
        deadline = time.time() + document["StoppingCondition"]["MaxRuntimeInSeconds"]
        environment = job_environment(
            document, self._layout, self._places.account, slot_environment(slot, self._places.slots.count)
        )
        kept.start(Order("train", str(self._log_file(document)), deadline), environment)

    def _wait(self, kept: Kept) -> Result:
        """Wait for the result of a keeper, and bring checkpoints to S3 meanwhile."""
        checkpoints = self._checkpoint_sync()
        brought, has_asked = time.monotonic(), False
        while (result := kept.result) is None:
            if not kept.is_alive and kept.result is None:
                raise LostError
            if self._stopping.is_set() and not has_asked:
                kept.stop()
                has_asked = True
            if checkpoints is not None and time.monotonic() - brought > CHECKPOINT_SECONDS:
                checkpoints.bring()
                brought = time.monotonic()
            self._check_closing()
            time.sleep(LOOK_AGAIN_SECONDS)
        if checkpoints is not None:
            checkpoints.bring()
        return result

    def _end_keeper(self) -> None:
        """End a job that goes on although it has failed here, say because its checkpoints cannot be kept."""
        kept = Kept(self._folder)
        if kept.is_alive:
            kept.stop()
            deadline = time.monotonic() + STOP_SECONDS + LAST_LINES_SECONDS
            while kept.is_alive and time.monotonic() < deadline:
                time.sleep(LOOK_AGAIN_SECONDS)

    def _checkpoint_sync(self) -> CheckpointSync | None:
        config = self._document.get("CheckpointConfig")
        if config is None:
            return None
        return CheckpointSync(self._layout.checkpoints, self._places.buckets, Place.of(config["S3Uri"]).as_folder)

    def _finish(self, result: Result) -> None:
        """Bring what the job has made to S3, and tell how it ended."""
        document = self._document
        was_stopped = result.ended_by != "itself" or document["status"] == STOPPING
        has_model = result.exit_status == 0 or was_stopped
        if has_model and document["status"] != STOPPING:
            self._advance("Uploading")
        place = output_place(document)
        upload_folder(self._layout.output_data, self._places.buckets, place.below(OUTPUT))
        if has_model:
            upload_folder(self._layout.model, self._places.buckets, place.below(MODEL))
        with self._places.state.changing(KIND, self._name) as changed:
            changed["FinalMetricDataList"] = final_metrics(self._log_file(changed))
            if result.ended_by == "max_runtime":
                end(changed, "Stopped", "MaxRuntimeExceeded")
            elif was_stopped or changed["status"] == STOPPING:
                end(changed, "Stopped", "Stopped")
            elif result.exit_status == 0:
                end(changed, "Completed", "Completed")
            else:
                end(changed, "Failed", "Failed", failure_reason(self._layout.failure, result.exit_status))

    def _end_in_queue(self) -> None:
        with self._places.state.changing(KIND, self._name) as changed:
            end(changed, "Stopped", "Stopped")

    def _fail(self, reason: str) -> None:
        with self._places.state.changing(KIND, self._name) as changed:
            end(changed, "Failed", "Failed", reason)

    def _advance(self, secondary_status: str) -> None:
        with self._places.state.changing(KIND, self._name) as changed:
            if changed["status"] != STOPPING:
                advance(changed, secondary_status)

    @property
    def _document(self) -> Document:
        return self._places.state.get(KIND, self._name)

    def _log_file(self, document: Document) -> Path:
        file = self._places.logs.file(LOG_GROUP, document["logStream"])
        assert file is not None
        return file

    def _check_closing(self) -> None:
        if self._closing.is_set():
            raise ServerStopsError


class TrainingRuns:
    """All jobs at work."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[str, tuple[TrainingRun, threading.Thread]] = {}

    def start(self, name: str) -> None:
        """Put a job that is in the state to work, or into the queue."""
        run = TrainingRun(name, self._places, self._closing)
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

    def resume(self) -> None:
        """Go on with the jobs that were at work when the server ended: those that run before those that wait."""
        active = [document for status in ACTIVE for document in self._places.state.of_status(KIND, status)]
        active.sort(key=lambda document: ("slot" not in document, document["CreationTime"]))
        self._remove_left_over({document["TrainingJobName"] for document in active})
        for document in active:
            if "slot" in document:
                self._places.slots.reclaim(document["slot"])
        for document in active:
            self.start(document["TrainingJobName"])
            if document["status"] == STOPPING:
                self.stop(document["TrainingJobName"])

    def _remove_left_over(self, names: set[str]) -> None:
        """Remove the folders of jobs that have ended."""
        if self._places.folder.is_dir():
            for folder in self._places.folder.iterdir():
                if folder.name not in names:
                    shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Leave the jobs to their keepers."""
        self._closing.set()
        self._places.slots.wake()
        with self._lock:
            threads = [thread for _, thread in self._running.values()]
        for thread in threads:
            thread.join(JOIN_SECONDS)
        if threads:
            log.info("%d training jobs are not at their end; a server with the same data takes them up", len(threads))
