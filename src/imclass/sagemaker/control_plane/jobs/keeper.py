"""The process that keeps one training container: it writes its log, stops it in time and tells how it ended.

    python -m imclass.sagemaker.control_plane.jobs.keeper FOLDER

The control plane may be killed and started again: the keeper and its job go on meanwhile. They talk through files:

::

    FOLDER/order.json     from the control plane: what to run, until when, where its log is
    FOLDER/pipes.json     from the control plane: how FIFOs are fed; not there without Pipe mode
    FOLDER/stop           from the control plane: end the job now
    FOLDER/keeper.lock    locked as long as the keeper lives
    FOLDER/result.json    from the keeper: how the job ended
    FOLDER/keeper.log     what the keeper itself had to complain about

This module and what it imports is small, so that the job itself starts at once.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal

from imclass.pending_file import PendingFile
from imclass.sagemaker.control_plane.jobs.pipes import Feeder, read_plans
from imclass.sagemaker.control_plane.store.log_files import LONGEST_MESSAGE, LogWriter

LOOK_AGAIN_SECONDS = 0.1
STOP_SECONDS = 120.0
"""From SIGTERM to SIGKILL, as `docker stop -t 120`."""
LAST_LINES_SECONDS = 10.0
"""For what is still in the pipe after the end of the job."""

EndedBy = Literal["itself", "stop", "max_runtime", "pipe"]


@dataclass(frozen=True)
class Order:
    """What to run.

    Attributes:
        command: of the container, `train`.
        log_file: where its output goes.
        deadline: when it is stopped, in seconds since 1970.
    """

    command: str
    log_file: str
    deadline: float


@dataclass(frozen=True)
class Result:
    """How a job ended.

    Attributes:
        exit_status: as docker tells it: 128 and the number of the signal for a job that a signal ended.
        ended_by: whether it came to its end by itself, was stopped, ran out of time, or could not be fed.
        pipe_failure: why it could not be fed.
    """

    exit_status: int
    ended_by: EndedBy
    pipe_failure: str | None = None


class LostError(Exception):
    """Nobody keeps a job any more, and it has not told how it ended."""


class Kept:
    """A keeper's folder, as the control plane sees it.

    Args:
        folder: exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, order: Order, environment: Mapping[str, str]) -> None:
        """Start a keeper with an order. It belongs to no terminal and no parent."""
        _write_json(self._folder / "order.json", asdict(order))
        with (self._folder / "keeper.lock").open("ab") as lock, (self._folder / "keeper.log").open("ab") as log:
            # The lock goes over to the keeper with the open file: at no moment does it look as if there were none.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self._folder)],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                start_new_session=True,
            )
        threading.Thread(target=process.wait, name="reaper", daemon=True).start()

    def stop(self) -> None:
        """Ask the keeper to end the job; it may not have begun yet."""
        (self._folder / "stop").touch()

    @property
    def was_started(self) -> bool:
        """Whether there is or was a keeper."""
        return (self._folder / "keeper.lock").exists()

    @property
    def is_alive(self) -> bool:
        """Whether a keeper is at work."""
        with suppress(FileNotFoundError), (self._folder / "keeper.lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @property
    def result(self) -> Result | None:
        """How the job ended, if it has."""
        with suppress(FileNotFoundError):
            return Result(**json.loads((self._folder / "result.json").read_bytes()))
        return None

    def ended(self) -> Result | None:
        """How the job ended, if it has.

        Raises:
            LostError: the keeper is gone without a word.
        """
        if (result := self.result) is not None or self.is_alive:
            return result
        if (result := self.result) is None:  # nor has it told between the two questions
            raise LostError(str(self._folder))
        return result


def end_keepers(keepers: Iterable[Kept]) -> None:
    """End what is still kept, and wait for it."""
    alive = [kept for kept in keepers if kept.is_alive]
    for kept in alive:
        kept.stop()
    deadline = time.monotonic() + STOP_SECONDS + LAST_LINES_SECONDS
    while any(kept.is_alive for kept in alive) and time.monotonic() < deadline:
        time.sleep(LOOK_AGAIN_SECONDS)


def main() -> None:
    folder = Path(sys.argv[1])
    order = Order(**json.loads((folder / "order.json").read_bytes()))
    with LogWriter(Path(order.log_file)) as log:
        result = keep(order, folder / "stop", log, [Feeder(plan) for plan in read_plans(folder / "pipes.json")])
    _write_json(folder / "result.json", asdict(result))


def keep(order: Order, stop: Path, log: LogWriter, feeders: Sequence[Feeder] = ()) -> Result:
    """Run the container's command to its end, and feed its pipes meanwhile."""
    command = [sys.executable, "-m", "imclass.sagemaker.control_plane.contained", order.command, str(os.getpid())]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0
    )
    assert process.stdout is not None
    lines = threading.Thread(target=copy_lines, args=(process.stdout, log), daemon=True)
    lines.start()
    for feeder in feeders:
        feeder.start()
    try:
        ended_by = wait(process, stop, order.deadline, feeders)
    finally:
        end_group(process)
        for feeder in feeders:
            feeder.close()
    lines.join(LAST_LINES_SECONDS)
    status = process.returncode
    failures = [feeder.failure for feeder in feeders if feeder.failure is not None]
    return Result(status if status >= 0 else 128 - status, ended_by, failures[0] if failures else None)


def wait(process: subprocess.Popen[bytes], stop: Path, deadline: float, feeders: Sequence[Feeder] = ()) -> EndedBy:
    """Wait for the end of the job, and ask it to end when it is to be stopped."""
    while process.poll() is None:
        if stop.exists():
            return _terminate(process, "stop")
        if time.time() > deadline:
            return _terminate(process, "max_runtime")
        if any(feeder.failure is not None for feeder in feeders):
            return _terminate(process, "pipe")
        time.sleep(LOOK_AGAIN_SECONDS)
    return "itself"


def _terminate(process: subprocess.Popen[bytes], reason: EndedBy) -> EndedBy:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    return reason


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End what a job may have left behind, and the job itself if it would not end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def copy_lines(output: IO[bytes], log: LogWriter) -> None:
    """Write each line of output to the log as soon as it is there."""
    with output:
        while line := output.readline(LONGEST_MESSAGE):
            log.write(line)


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    with PendingFile(path) as file:
        file.write(json.dumps(values).encode())


if __name__ == "__main__":
    main()
