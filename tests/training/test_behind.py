import threading

import pytest

from imclass.training.behind import Behind


def test_work_goes_on_while_the_caller_does() -> None:
    behind, release, done = Behind(), threading.Event(), []
    behind.start(lambda: done.append(release.wait(20)))
    assert done == []
    release.set()
    behind.finish()
    assert done == [True]


def test_one_piece_at_a_time_in_order() -> None:
    behind, order = Behind(), []
    for number in range(5):
        behind.start(lambda number=number: order.append(number))
        assert len(order) >= number
    behind.finish()
    assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("problem", [ZeroDivisionError("no"), TimeoutError("the work's own")])
def test_a_failure_reaches_the_one_who_waits_once(problem: Exception) -> None:
    def fail() -> None:
        raise problem

    behind, done = Behind(), []
    behind.start(fail)
    with pytest.raises(type(problem), match=str(problem)):
        behind.start(lambda: done.append(1))
    behind.finish()
    assert done == [], "what was to follow a failure does not begin"


def test_work_that_never_ends_is_an_error() -> None:
    behind, release = Behind(deadline_seconds=0.05), threading.Event()
    behind.start(lambda: release.wait(20) and None)
    with pytest.raises(RuntimeError, match=r"not written within 0\.05 seconds"):
        behind.finish()
    release.set()


def test_nothing_to_wait_for() -> None:
    Behind().finish()
