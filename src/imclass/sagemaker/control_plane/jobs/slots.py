"""How many jobs run at once; the others wait in the order in which they came."""

import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

LOOK_AGAIN_SECONDS = 1.0
CORES_PER_JOB = 4


class Slots:
    """Numbered places for jobs, from 0.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = set(range(count))
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    def take(self, gives_up: Callable[[], bool]) -> int | None:
        """Wait for a free place, behind those who wait already.

        Args:
            gives_up: asked now and then, and after `wake`: whether to wait no longer.

        Returns:
            The number of the place, or None when it was given up.
        """
        taken = self.take_several(1, gives_up)
        return None if taken is None else taken[0]

    def take_several(self, count: int, gives_up: Callable[[], bool]) -> list[int] | None:
        """Wait until so many places are free at once; those who come later wait behind, also for fewer.

        Args:
            gives_up: as of `take`.

        Returns:
            The numbers of the places, or None when it was given up.
        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while not gives_up():
                    if len(self._free) >= count and self._waiting[0] is ticket:
                        numbers = sorted(self._free)[:count]
                        self._free.difference_update(numbers)
                        return numbers
                    self._changed.wait(LOOK_AGAIN_SECONDS)
                return None
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    @property
    def are_taken(self) -> bool:
        """Whether somebody who comes now has to wait."""
        return self.must_wait(1)

    def must_wait(self, count: int) -> bool:
        """Whether somebody who comes now for so many places has to wait."""
        with self._changed:
            return len(self._free) < count or bool(self._waiting)

    def reclaim(self, number: int) -> None:
        """Take the place that a job had before a restart; there may be fewer places now."""
        with self._changed:
            self._free.discard(number)

    def give_back(self, number: int) -> None:
        with self._changed:
            if number < self.count:
                self._free.add(number)
            self._changed.notify_all()

    def wake(self) -> None:
        """Let those who wait ask whether they give up."""
        with self._changed:
            self._changed.notify_all()


def gpu_count() -> int:
    """How many GPUs this machine has, without asking their driver, which takes seconds."""
    return sum(1 for device in Path("/dev").glob("nvidia*") if device.name.removeprefix("nvidia").isdecimal())


def default_slots() -> int:
    """One for each GPU; without any, one for every four cores."""
    return gpu_count() or max(1, len(os.sched_getaffinity(0)) // CORES_PER_JOB)


def slot_environment(number: int, count: int) -> dict[str, str]:
    """What keeps the job in a place to its share of the machine."""
    gpus = gpu_count()
    if gpus:
        return {"CUDA_VISIBLE_DEVICES": str(number % gpus)}
    return {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // count))}
