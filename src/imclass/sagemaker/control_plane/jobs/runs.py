"""Jobs at work, of any kind: a thread takes each from the queue to its end, and keepers outlive the server.

What a thread has reached is in the state at any moment, so that another one goes on there after a restart.
"""

import logging
import math
import shutil
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from imclass.errors import UserError
from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.jobs.failure_reasons import LOST, OUR_FAULT
from imclass.sagemaker.control_plane.jobs.keeper import LostError, Result
from imclass.sagemaker.control_plane.jobs.runner import Location, Runner
from imclass.sagemaker.control_plane.store.buckets import Buckets
from imclass.sagemaker.control_plane.store.log_files import LogFolder
from imclass.sagemaker.control_plane.store.state import Document, State

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 0.1
BRING_SECONDS = 1.0
JOIN_SECONDS = 30.0


class ServerStopsError(Exception):
    """The server ends; the job goes on without it."""


@dataclass(frozen=True)
class Places:
    """What all runs of a kind share.

    Attributes:
        runner: where they run.
        folder: with a folder for each job that runs.
    """

    state: State
    buckets: Buckets
    logs: LogFolder
    runner: Runner
    account: Account
    folder: Path


class JobRun(ABC):
    """One job, from the queue to its end.

    Args:
        name: of the job, which is in the state.
        closing: set when the server ends.

    Attributes:
        kind: of the job in the state.
        name_member: member of its document with its name.
        active: the statuses of jobs that have not ended; the last says that the job is to end.
    """

    kind: ClassVar[str]
    name_member: ClassVar[str]
    active: ClassVar[tuple[str, ...]]

    def __init__(self, name: str, places: Places, closing: threading.Event) -> None:
        self.name = name
        self.places = places
        self.folder = places.folder / name
        self._closing = closing
        self._stopping = threading.Event()

    @abstractmethod
    def work(self) -> None:
        """Bring the job to its end.

        Raises:
            UserError: its owner can put right why it has failed.
            LostError: nobody keeps it any more.
            ServerStopsError: it goes on without the server.
        """

    @abstractmethod
    def fail(self, reason: str) -> None:
        """Enter that the job has failed, and end what goes on of it."""

    def hosts_of(self, document: Document) -> int:
        """How many places the job needs at once."""
        return 1

    def enter_queue(self) -> None:  # noqa: B027  # most kinds have no words for it
        """Enter that the job has to wait for its places."""

    def given_up_at(self, document: Document) -> float:
        """When the job waits no longer, in seconds since 1970."""
        return math.inf

    def stop(self) -> None:
        """Let the job end soon; the state says so already."""
        self._stopping.set()
        self.places.runner.wake()

    def run(self) -> None:
        """Bring the job to its end, whatever happens; for a thread."""
        try:
            self.work()
        except ServerStopsError:
            return
        except LostError:
            self.fail(LOST)
        except UserError as error:
            self.fail(f"ClientError: {error}")
        except Exception:
            log.exception("The %s %s cannot be run", self.kind, self.name)
            self.fail(OUR_FAULT)
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def taken_slots(self) -> Iterator[Sequence[Location] | None]:
        """Wait for places; None when the job ends before it gets any. One that had places before a restart has them."""
        runner, document = self.places.runner, self.document
        taken: Sequence[Location] | None = document.get("slots")
        if taken is None:
            taken = self._take(document)
        if taken is None:
            self.check_closing()
            yield None
            return
        with self.changing() as changed:
            changed["slots"] = taken
        try:
            yield taken
        except ServerStopsError:  # the job keeps them
            raise
        except BaseException:
            runner.give_back(taken)
            raise
        runner.give_back(taken)

    def _take(self, document: Document) -> Sequence[Location] | None:
        runner, count, given_up_at = self.places.runner, self.hosts_of(document), self.given_up_at(document)
        if count > runner.most_hosts:  # the server had more of them when the job was created
            raise UserError(
                f"the job needs {count} slots at once, and the server has {runner.most_hosts} since it was started "
                "again",
                fix=f"Start it with --slots {count} or more, and create the job again.",
            )
        if runner.must_wait(count):
            self.enter_queue()
        return runner.take(
            self.name, count, lambda: self.is_stopping or self._closing.is_set() or time.time() > given_up_at
        )

    def wait(self, result: Callable[[], Result | None], stop: Callable[[], None], bring: Callable[[], None]) -> Result:
        """Wait for the end of what keepers run.

        Args:
            result: tells how it ended, if it has.
            stop: asks it to end; called again and again when the job is to end.
            bring: brings to S3 what it has made since the last time; called now and then, and at the end.
        """
        brought = time.monotonic()
        while (found := result()) is None:
            if self.is_to_end:
                stop()
            if time.monotonic() - brought > BRING_SECONDS:
                bring()
                brought = time.monotonic()
            self.check_closing()
            time.sleep(LOOK_AGAIN_SECONDS)
        bring()
        return found

    @property
    def is_stopping(self) -> bool:
        """Whether somebody has stopped the job."""
        return self._stopping.is_set()

    @property
    def is_to_end(self) -> bool:
        """Whether what runs of the job now is to end."""
        return self.is_stopping

    @property
    def document(self) -> Document:
        """What the state has of the job."""
        return self.places.state.get(self.kind, self.name)

    @contextmanager
    def changing(self) -> Iterator[Document]:
        """The same, which is remembered as the block leaves it."""
        with self.places.state.changing(self.kind, self.name) as document:
            yield document

    def check_closing(self) -> None:
        """Raise ServerStopsError if the server ends."""
        if self._closing.is_set():
            raise ServerStopsError


Run = TypeVar("Run", bound=JobRun)


class JobRuns(Generic[Run]):
    """All jobs of a kind that are at work.

    Args:
        places: where they work.
        make: a run of this kind.
    """

    def __init__(self, places: Places, make: type[Run]) -> None:
        self.places = places
        self._make = make
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Run, threading.Thread]] = {}

    @property
    def most_hosts(self) -> int:
        """How many hosts a job can have."""
        return self.places.runner.most_hosts

    def start(self, name: str) -> None:
        """Put a job that is in the state to work, or into the queue."""
        run = self._make(name, self.places, self._closing)
        thread = threading.Thread(target=self._work, args=(run,), name=f"{run.kind} {name}")
        with self._lock:
            self._running[name] = run, thread
        thread.start()

    def _work(self, run: Run) -> None:
        try:
            run.run()
        finally:
            with self._lock:
                del self._running[run.name]

    def stop(self, name: str) -> None:
        """Let a job end soon, if it has not ended."""
        if (run := self.at_work(name)) is not None:
            run.stop()

    def at_work(self, name: str) -> Run | None:
        """The run of a job, if it has not ended."""
        with self._lock:
            return self._running[name][0] if name in self._running else None

    def reclaim(self) -> None:
        """Take the places of the jobs that ran when the server ended; before any job is started."""
        self.places.runner.reclaim([location for document in self.active for location in document.get("slots", ())])

    def resume(self) -> None:
        """Go on with the jobs that were at work when the server ended: those that run before those that wait."""
        active = sorted(self.active, key=lambda document: ("slots" not in document, document["CreationTime"]))
        self._remove_left_over({document[self._make.name_member] for document in active})
        for document in active:
            self.take_up(document[self._make.name_member], document)

    def take_up(self, name: str, document: Document) -> None:
        """Go on with one job."""
        self.start(name)
        if document["status"] == self._make.active[-1]:
            self.stop(name)

    @property
    def active(self) -> list[Document]:
        """The documents of all jobs that have not ended."""
        state, kind = self.places.state, self._make.kind
        return [document for status in self._make.active for document in state.of_status(kind, status)]

    def _remove_left_over(self, names: set[str]) -> None:
        """Remove the folders of jobs that have ended."""
        if self.places.folder.is_dir():
            for folder in self.places.folder.iterdir():
                if folder.name not in names:
                    shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Leave the jobs to their keepers."""
        self._closing.set()
        self.places.runner.wake()
        with self._lock:
            threads = [thread for _, thread in self._running.values()]
        for thread in threads:
            thread.join(JOIN_SECONDS)
        if threads:
            log.info("%d jobs are not at their end; a server with the same data takes them up", len(threads))
