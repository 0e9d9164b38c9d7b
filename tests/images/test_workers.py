import logging
import os
import sys
import threading
import time
import weakref

import pytest

from imclass.errors import UserError
from imclass.images.workers import BACKGROUND_NICENESS, Workers, available_cores, thread_count


def test_tasks_begin_in_order() -> None:
    order: list[int] = []
    workers = Workers(1, 10.0)
    workers.wait([workers.submit(lambda number=number: order.append(number)) for number in range(50)])
    workers.close()
    assert order == list(range(50))


def test_the_first_failure_reaches_the_waiter() -> None:
    def fail() -> None:
        raise KeyError("broken container")

    workers = Workers(2, 10.0)
    with pytest.raises(KeyError, match="broken container"):
        workers.wait([workers.submit(time.time), workers.submit(fail)])
    workers.close()


def test_close_drops_what_has_not_begun() -> None:
    begun, release = threading.Event(), threading.Event()
    done: list[int] = []

    def hold() -> None:
        begun.set()
        release.wait(10)

    before = threading.active_count()
    workers = Workers(1, 10.0)
    workers.submit(hold)
    later = workers.submit(lambda: done.append(1))
    assert begun.wait(10)
    closing = threading.Thread(target=workers.close)
    closing.start()
    release.set()
    closing.join(10)
    assert later.cancelled()
    assert not done
    assert threading.active_count() == before


def test_a_thread_without_work_keeps_nothing_of_its_last_task() -> None:
    class Batch:
        def decode(self) -> None:
            pass

    batch = Batch()
    kept = weakref.ref(batch)
    workers = Workers(1, 10.0)
    workers.wait([workers.submit(batch.decode)])
    del batch
    deadline = time.monotonic() + 10  # the thread may still be on its way back
    while kept() is not None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert kept() is None
    workers.close()


def test_a_task_that_has_not_begun_can_be_cancelled() -> None:
    begun, release = threading.Event(), threading.Event()
    done: list[int] = []

    def hold() -> None:
        begun.set()
        release.wait(10)

    workers = Workers(1, 10.0)
    first, second, third = (workers.submit(task) for task in (hold, lambda: done.append(2), lambda: done.append(3)))
    assert begun.wait(10)
    assert not first.cancel()
    assert second.cancel()
    release.set()
    workers.wait([first, third])
    workers.close()
    assert done == [3]


def test_no_progress_ends_the_wait_and_stuck_threads_are_left(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    workers = Workers(1, 0.05)
    stuck = workers.submit(lambda: release.wait(10) and None)
    with pytest.raises(RuntimeError, match=r"for 0\.05 seconds"):
        workers.wait([stuck])
    with caplog.at_level(logging.WARNING):
        workers.close()
    assert "1 decoding threads are stuck" in caplog.text
    release.set()


def test_slow_progress_is_progress() -> None:
    workers = Workers(1, 0.2)
    workers.wait([workers.submit(lambda: time.sleep(0.05)) for _ in range(8)])
    workers.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of single threads")
def test_background_threads_give_way_and_others_do_not() -> None:
    def niceness_of_a_worker(in_background: bool) -> int:
        found: list[int] = []
        workers = Workers(1, 10.0, in_background=in_background)
        workers.wait([workers.submit(lambda: found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))])
        workers.close()
        return found[0]

    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert niceness_of_a_worker(in_background=True) == min(19, usual + BACKGROUND_NICENESS)
    assert niceness_of_a_worker(in_background=False) == usual
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == usual


def test_cores() -> None:
    assert available_cores() >= 1


def test_a_number_of_threads_below_0_is_refused() -> None:
    assert thread_count(3) == 3
    assert thread_count(0) >= 1
    with pytest.raises(UserError, match="-2 is no number of threads"):
        thread_count(-2)
