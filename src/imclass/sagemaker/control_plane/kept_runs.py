"""Jobs of one kind at work: one thread for each, and a keeper that outlives the server.

What a thread has reached is in the state at any moment, so that another one goes on there after a restart.
"""

import logging
import os
import shutil
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Literal

from imclass.errors import UserError
from imclass.sagemaker.control_plane.account import Account
from imclass.sagemaker.control_plane.job_folder import INHERITED_VARIABLES
from imclass.sagemaker.control_plane.keeper import LAST_LINES_SECONDS, STOP_SECONDS, Kept, Order, Result
from imclass.sagemaker.control_plane.slots import slot_environment
from imclass.sagemaker.control_plane.state import Document
from imclass.sagemaker.control_plane.training_documents import failure_reason
from imclass.sagemaker.control_plane.training_runs import (
    JOIN_SECONDS,
    LOOK_AGAIN_SECONDS,
    LOST,
    OUR_FAULT,
    Places,
    ServerStopsError,
)
from imclass.sagemaker.layout import ROOT_VARIABLE, Layout

log = logging.getLogger(__name__)

BRING_SECONDS = 2.0
Ending = Literal["completed", "failed", "stopped"]


class LostError(Exception):
    """Nobody keeps the job any more, and it has not told how it ended."""


class KeptRun(ABC):
    """One job, from the queue to its end. Its document in the state has its name, and `logStream`.

    Args:
        name: of the job, which is in the state.
        places: of all jobs of its kind.
        closing: set when the server ends.

    Attributes:
        kind: of the job in the state.
        name_member: member of its document with its name.
        command: what the keeper runs, as `contained` knows it.
        log_group: of its log.
        active: the statuses of jobs that have not ended; the last says that the job is to end.
    """

    kind: ClassVar[str]
    name_member: ClassVar[str]
    command: ClassVar[str]
    log_group: ClassVar[str]
    active: ClassVar[tuple[str, ...]]

    def __init__(self, name: str, places: Places, closing: threading.Event) -> None:
        self.name = name
        self.places = places
        self.folder = places.folder / name
        self._closing = closing
        self._stopping = threading.Event()

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
    def end(self, document: Document, ending: Ending, reason: str | None = None) -> None:
        """Enter into the document how the job ended."""

    @abstractmethod
    def deadline(self, document: Document) -> float:
        """When a job that begins now is stopped, in seconds since 1970."""

    @property
    def layout(self) -> Layout:
        """What the job finds in place of /opt/ml."""
        return Layout(self.folder / "ml")

    def stop(self) -> None:
        """Let the job end soon; the state says so already."""
        self._stopping.set()
        self.places.slots.wake()

    def run(self) -> None:
        """Bring the job to its end, whatever happens; for a thread."""
        try:
            with self._slot() as slot:
                if slot is None:
                    self._end("stopped")
                else:
                    self._finish(self._result(slot))
        except ServerStopsError:
            return
        except LostError:
            self._end("failed", LOST)
        except UserError as error:
            self._end("failed", f"ClientError: {error}")
        except Exception:
            log.exception("The %s %s cannot be run", self.kind, self.name)
            self._end("failed", OUR_FAULT)
        self._end_keeper()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _slot(self) -> Iterator[int | None]:
        """Wait for a place; None when the job was stopped meanwhile. One that had a place before a restart has it."""
        slots = self.places.slots
        slot: int | None = self._document.get("slot")
        if slot is None:
            slot = slots.take(lambda: self._stopping.is_set() or self._closing.is_set())
            self._check_closing()
        try:
            if slot is not None:
                with self.places.state.changing(self.kind, self.name) as changed:
                    changed["slot"] = slot
            yield slot
        finally:
            if slot is not None:
                slots.give_back(slot)

    def _result(self, slot: int) -> Result:
        """Start the job, unless a keeper is at it already, and wait for its end."""
        kept = Kept(self.folder)
        if not kept.was_started:
            shutil.rmtree(self.folder, ignore_errors=True)  # of an attempt that a restart has ended
            self.layout.root.mkdir(parents=True)
            self.prepare(self._document)
            self._start(kept, slot)
        return self._wait(kept)

    def _start(self, kept: Kept, slot: int) -> None:
        with self.places.state.changing(self.kind, self.name) as changed:
            own = self.begin(changed)
            document = dict(changed)
        shares = slot_environment(slot, self.places.slots.count)
        environment = container_environment(own, shares, self.layout, self.places.account)
        kept.start(Order(self.command, str(self.log_file(document)), self.deadline(document)), environment)

    def _wait(self, kept: Kept) -> Result:
        """Wait for the result of a keeper, and bring what is made to S3 meanwhile."""
        document, brought, has_asked = self._document, time.monotonic(), False
        while (result := kept.result) is None:
            if not kept.is_alive and kept.result is None:
                raise LostError
            if self._stopping.is_set() and not has_asked:
                kept.stop()
                has_asked = True
            if time.monotonic() - brought > BRING_SECONDS:
                self.bring(document)
                brought = time.monotonic()
            self._check_closing()
            time.sleep(LOOK_AGAIN_SECONDS)
        self.bring(document)
        return result

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

    def _end(self, ending: Ending, reason: str | None = None) -> None:
        with self.places.state.changing(self.kind, self.name) as changed:
            was_stopped = changed["status"] == self.active[-1]
            self.end(changed, "stopped" if was_stopped and ending == "completed" else ending, reason)

    def _end_keeper(self) -> None:
        """End a job that goes on although it has failed here, say because its results cannot be kept."""
        kept = Kept(self.folder)
        if kept.is_alive:
            kept.stop()
            deadline = time.monotonic() + STOP_SECONDS + LAST_LINES_SECONDS
            while kept.is_alive and time.monotonic() < deadline:
                time.sleep(LOOK_AGAIN_SECONDS)

    def log_file(self, document: Document) -> Path:
        """Of the job's first stream."""
        file = self.places.logs.file(self.log_group, document["logStream"])
        assert file is not None
        return file

    @property
    def _document(self) -> Document:
        return self.places.state.get(self.kind, self.name)

    def _check_closing(self) -> None:
        if self._closing.is_set():
            raise ServerStopsError


def container_environment(
    own: Mapping[str, str], shares: Mapping[str, str], layout: Layout, account: Account
) -> dict[str, str]:
    """The environment of a container's process.

    Args:
        own: variables of the job, which win over those of the machine.
        shares: what keeps the job to its share of the machine.
    """
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    region = {"AWS_REGION": account.region, "AWS_DEFAULT_REGION": account.region}
    return {**inherited, **shares, **own, **region, ROOT_VARIABLE: str(layout.root)}


class KeptRuns:
    """All jobs of a kind that are at work.

    Args:
        places: where they work.
        make: a run of this kind.
    """

    def __init__(self, places: Places, make: type[KeptRun]) -> None:
        self._places = places
        self._make = make
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[str, tuple[KeptRun, threading.Thread]] = {}

    def start(self, name: str) -> None:
        """Put a job that is in the state to work, or into the queue."""
        run = self._make(name, self._places, self._closing)
        thread = threading.Thread(target=self._work, args=(run,), name=f"{run.kind} {name}")
        with self._lock:
            self._running[name] = run, thread
        thread.start()

    def _work(self, run: KeptRun) -> None:
        try:
            run.run()
        finally:
            with self._lock:
                del self._running[run.name]

    def stop(self, name: str) -> None:
        """Let a job end soon, if it has not ended."""
        with self._lock, suppress(KeyError):
            self._running[name][0].stop()

    def reclaim(self) -> None:
        """Take the places of the jobs that ran when the server ended; before any job is started."""
        for document in self._active():
            if "slot" in document:
                self._places.slots.reclaim(document["slot"])

    def resume(self) -> None:
        """Go on with the jobs that were at work when the server ended: those that run before those that wait."""
        active = sorted(self._active(), key=lambda document: ("slot" not in document, document["CreationTime"]))
        self._remove_left_over({document[self._make.name_member] for document in active})
        for document in active:
            name = document[self._make.name_member]
            self.start(name)
            if document["status"] == self._make.active[-1]:
                self.stop(name)

    def _active(self) -> list[Document]:
        state, kind = self._places.state, self._make.kind
        return [document for status in self._make.active for document in state.of_status(kind, status)]

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
            log.info("%d jobs are not at their end; a server with the same data takes them up", len(threads))
