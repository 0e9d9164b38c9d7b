import pytest

from imclass.images.gpu.share import DecodeShare


def measured(threads: int, hardware_seconds: float, thread_seconds: float) -> DecodeShare:
    """A share whose two sides took so long for an image each."""
    share = DecodeShare(threads)
    share.hardware_took(hardware_seconds * 100, 100)
    share.thread_took(thread_seconds * 16, 16)
    return share


def wait(share: DecodeShare, times: int, *, is_ready: bool) -> None:
    for _ in range(times):
        share.asked(is_ready=is_ready)


@pytest.mark.parametrize(
    ("threads", "hardware", "thread", "expected"),
    [(16, 1e-4, 16e-4, 0.5), (8, 1e-4, 24e-4, 0.25), (1, 1e-4, 1e-2, 1 / 101)],
)
def test_both_sides_take_the_same_time(threads: int, hardware: float, thread: float, expected: float) -> None:
    share = measured(threads, hardware, thread)
    wait(share, 60, is_ready=False)
    assert share.portion == pytest.approx(expected, rel=1e-3)
    assert share.portion * thread / threads == pytest.approx((1 - share.portion) * hardware, rel=1e-3)


def test_threads_get_nothing_while_nobody_waits() -> None:
    share = measured(16, 1e-4, 1e-3)
    assert share.portion == 0
    wait(share, 60, is_ready=False)
    most = share.portion
    wait(share, 5, is_ready=True)
    assert 0 < share.portion < most
    wait(share, 60, is_ready=True)
    assert share.rows_of_threads(512) == 0


def test_a_first_portion_finds_out_how_fast_the_threads_are() -> None:
    share = DecodeShare(4)
    wait(share, 60, is_ready=False)
    assert share.portion == pytest.approx(1 / 8, rel=1e-3)
    share.hardware_took(1.0, 100)
    assert share.portion == pytest.approx(1 / 8, rel=1e-3)


def test_speeds_are_followed() -> None:
    share = measured(16, 1e-4, 16e-4)
    wait(share, 60, is_ready=False)
    for _ in range(60):
        share.thread_took(3 * 16e-4, 1)
    assert share.portion == pytest.approx(0.25, rel=1e-3)


def test_without_threads_the_hardware_does_all() -> None:
    share = measured(0, 1.0, 1e-6)
    wait(share, 60, is_ready=False)
    assert share.portion == 0
    assert share.rows_of_threads(100) == 0
