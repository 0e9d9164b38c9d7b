"""Places for hosts: who gets them, and in which order."""

import threading
import time
from collections.abc import Callable

from imclass.sagemaker.control_plane.jobs.slots import Slots

SECONDS = 20.0


class Waiting:
    """Somebody who waits for places on a thread."""

    def __init__(self, slots: Slots, count: int, gives_up: Callable[[], bool] = lambda: False) -> None:
        self.taken: list[int] | None = None
        self._thread = threading.Thread(target=self._take, args=(slots, count, gives_up), daemon=True)
        self._thread.start()

    def _take(self, slots: Slots, count: int, gives_up: Callable[[], bool]) -> None:
        self.taken = slots.take_several(count, gives_up)

    def end(self) -> list[int] | None:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        return self.taken

    @property
    def waits(self) -> bool:
        return self._thread.is_alive()


def wait_in_line(slots: Slots, count: int, **options: Callable[[], bool]) -> Waiting:
    """Somebody who has come before whoever comes next."""
    waiting = Waiting(slots, count, **options)
    deadline = time.monotonic() + SECONDS
    while not slots.are_taken:
        assert time.monotonic() < deadline
    time.sleep(0.05)
    return waiting


def test_the_lowest_places_first() -> None:
    slots = Slots(3)
    assert slots.take_several(2, lambda: False) == [0, 1]
    assert slots.take(lambda: False) == 2
    slots.give_back(1)
    assert slots.take(lambda: False) == 1


def test_who_needs_many_is_not_passed_by_those_who_need_few() -> None:
    slots = Slots(2)
    slots.take(lambda: False)
    many = wait_in_line(slots, 2)
    few = wait_in_line(slots, 1)
    assert slots.must_wait(1), "there is a free place, but others wait"
    slots.give_back(0)
    assert many.end() == [0, 1]
    assert few.waits
    slots.give_back(1)
    assert few.end() == [1]


def test_who_gives_up_makes_room() -> None:
    slots = Slots(1)
    slots.take(lambda: False)
    enough = threading.Event()
    first = wait_in_line(slots, 1, gives_up=enough.is_set)
    second = wait_in_line(slots, 1)
    enough.set()
    slots.wake()
    assert first.end() is None
    slots.give_back(0)
    assert second.end() == [0]


def test_places_that_are_no_more_are_not_given_again() -> None:
    slots = Slots(1)
    slots.reclaim(0)
    slots.reclaim(3)  # of a server that had four
    assert slots.must_wait(1)
    slots.give_back(3)
    assert slots.must_wait(1)
    slots.give_back(0)
    assert not slots.must_wait(1)
    assert slots.must_wait(2)
