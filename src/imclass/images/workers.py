"""Threads for decoding. Decoders and OpenCV let go of Python's lock, so threads use all cores without copies.

`concurrent.futures.ThreadPoolExecutor` is not used because the interpreter waits for its threads at exit: one read
that never returns (a lost network drive) would keep a failed run from ending. These threads do not hold it up.
"""

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait

from imclass.errors import UserError

logger = logging.getLogger(__name__)

Task = Callable[[], None]

BACKGROUND_NICENESS = 10  # such a thread gets a tenth of a core that another one wants, and all of one that is idle
_LEAST_PRIORITY = 19


class Workers:
    """A fixed number of threads that work through tasks in the order in which they were given.

    Args:
        threads: number of threads, at least 1.
        stall_seconds: how long no task may finish, while some are waited for, before `wait` gives up.
        in_background: let other threads of the machine go first, where the system can (Linux).
    """

    def __init__(self, threads: int, stall_seconds: float, *, in_background: bool = False) -> None:
        self.stall_seconds = stall_seconds
        self._in_background = in_background
        self._tasks: queue.SimpleQueue[tuple[Future[None], Task] | None] = queue.SimpleQueue()
        self._is_closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"imclass-decode-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Task) -> Future[None]:
        """Queue a task."""
        future: Future[None] = Future()
        self._tasks.put((future, task))
        return future

    def wait(self, futures: Sequence[Future[None]]) -> None:
        """Wait until all tasks are done.

        Raises:
            RuntimeError: no task finished for `stall_seconds`, which is noticed after twice that time at the latest.
            Exception: whatever a task raised, as soon as it did.
        """
        pending = set(futures)
        while pending:
            # Not task by task: each time, this thread would have to take Python's lock from one that decodes.
            done, pending = wait(pending, timeout=self.stall_seconds, return_when=FIRST_EXCEPTION)
            if not done:
                raise RuntimeError(
                    f"no image was read or decoded for {self.stall_seconds:g} seconds; {len(pending)} pieces of work "
                    "are waiting. Is the storage that holds the images still there?"
                )
            for future in done:
                future.result()

    def close(self) -> None:
        """Drop the tasks that have not begun, wait for those that have, and end the threads."""
        self._is_closing.set()
        for _ in self._threads:
            self._tasks.put(None)
        deadline = time.monotonic() + self.stall_seconds
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        stuck = sum(thread.is_alive() for thread in self._threads)
        if stuck:
            logger.warning("%d decoding threads are stuck in a read and are left behind", stuck)

    def _work(self) -> None:
        if self._in_background:
            go_into_background()
        while (item := self._tasks.get()) is not None:
            self._carry_out(*item)
            del item  # or a thread that waits for a task would keep a batch of the last one, on a GPU too

    def _carry_out(self, future: Future[None], task: Task) -> None:
        if self._is_closing.is_set():
            future.cancel()
        if not future.set_running_or_notify_cancel():  # which wakes tasks of other threads that wait for this one
            return
        try:
            task()
        except BaseException as problem:  # noqa: BLE001  (not handled here: it goes to whoever waits)
            future.set_exception(problem)
        else:
            future.set_result(None)


def go_into_background() -> None:
    """Lower the priority of the calling thread, for good. Only Linux has priorities of single threads."""
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    niceness = os.getpriority(os.PRIO_PROCESS, thread) + BACKGROUND_NICENESS
    os.setpriority(os.PRIO_PROCESS, thread, min(niceness, _LEAST_PRIORITY))


def available_cores() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count(threads: int) -> int:
    """The number of decoding threads that `threads` asks for; 0 asks for one a core.

    Raises:
        UserError: a number below 0.
    """
    if threads < 0:
        raise UserError(f"{threads} is no number of threads", where="threads", fix="Use 0 for one a core.")
    return threads or available_cores()
