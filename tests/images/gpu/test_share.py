import pytest

from imclass.images.gpu.share import COUNTED, KEPT, MOST_HELPERS, MOST_KEPT, SETTLING, DecodeShare

WINDOW = SETTLING + COUNTED
MEASUREMENT = 3 * WINDOW


class Run:
    """A consumer of batches of 100 images, with a clock of its own."""

    def __init__(self, threads: int = 4) -> None:
        self.now = 0.0
        self.share = DecodeShare(threads, clock=lambda: self.now)

    def take(self, batches: int, *, alone: float, helped: float | None = None, is_ready: bool = False) -> None:
        """Take batches, which come after `alone` seconds, or `helped` where the threads have a portion."""
        for _ in range(batches):
            helps = self.share.portion > 0
            self.now += helped if helps and helped is not None else alone
            self.share.asked(100, is_ready=is_ready)

    def measured(self, hardware_seconds: float, thread_seconds: float) -> "Run":
        """Both sides took so long for an image each."""
        self.share.hardware_took(0.0, hardware_seconds * 100, 100)
        self.share.thread_took(thread_seconds * 16, 16)
        return self


def test_help_that_makes_the_whole_faster_stays() -> None:
    run = Run()
    run.take(WINDOW, alone=0.01)
    assert run.share.portion > 0  # is tried
    run.take(WINDOW, alone=0.01, helped=0.009)
    assert run.share.portion == 0  # is left out once more
    run.take(WINDOW, alone=0.01)
    assert run.share.portion > 0
    run.take(KEPT - 1, alone=0.01, helped=0.009)
    assert run.share.portion > 0


@pytest.mark.parametrize("helped", [0.012, 0.01, 0.0096])
def test_help_that_does_not_is_left_out(helped: float) -> None:
    run = Run()
    run.take(MEASUREMENT, alone=0.01, helped=helped)
    assert run.share.portion == 0
    assert run.share.rows_of_threads(512) == 0
    run.take(KEPT - 1, alone=0.01)
    assert run.share.portion == 0


def test_a_run_that_gets_faster_by_itself_is_no_merit_of_the_help() -> None:
    run = Run()
    run.take(WINDOW, alone=0.02)
    run.take(WINDOW, alone=0.01, helped=0.01)
    run.take(WINDOW, alone=0.01)
    assert run.share.portion == 0


def test_the_choice_is_made_again() -> None:
    run = Run()
    run.take(MEASUREMENT, alone=0.01, helped=0.02)
    run.take(KEPT - 1, alone=0.01)
    assert run.share.portion == 0
    run.take(1 + MEASUREMENT, alone=0.01, helped=0.005)
    assert run.share.portion > 0
    run.take(KEPT, alone=0.01, helped=0.005)
    assert run.share.portion == 0  # is measured alone again


def test_what_is_found_again_holds_twice_as_long() -> None:
    run = Run()
    run.take(MEASUREMENT, alone=0.01, helped=0.02)
    holds = KEPT
    while holds < 2 * MOST_KEPT:
        run.take(min(holds, MOST_KEPT) + WINDOW - 1, alone=0.01)
        assert run.share.portion == 0
        run.take(1, alone=0.01)
        assert run.share.portion > 0
        run.take(2 * WINDOW, alone=0.01, helped=0.02)
        holds *= 2


def test_another_result_holds_as_long_as_a_first_one() -> None:
    run = Run()
    run.take(MEASUREMENT, alone=0.01, helped=0.02)
    run.take(KEPT + MEASUREMENT, alone=0.01, helped=0.02)
    run.take(2 * KEPT + MEASUREMENT, alone=0.01, helped=0.005)
    assert run.share.portion > 0
    run.take(KEPT, alone=0.01, helped=0.005)
    assert run.share.portion == 0


def test_batches_made_before_a_change_are_not_counted() -> None:
    run = Run()
    run.take(WINDOW, alone=0.01)
    run.take(SETTLING, alone=0.01, helped=5.0)
    run.take(COUNTED, alone=0.01, helped=0.009)
    run.take(SETTLING, alone=0.001)
    run.take(COUNTED, alone=0.01)
    assert run.share.portion > 0


def test_what_passes_between_two_passes_is_not_counted() -> None:
    run = Run()
    run.take(WINDOW, alone=0.01)
    run.take(WINDOW - 1, alone=0.01, helped=0.009)
    run.now += 60.0  # validation
    run.share.begin_pass()
    run.take(WINDOW, alone=0.01, helped=0.009)
    run.take(WINDOW, alone=0.01)
    assert run.share.portion > 0


def test_nothing_is_tried_while_nobody_waits() -> None:
    run = Run().measured(1e-4, 1e-3)
    run.take(3 * WINDOW, alone=0.01, is_ready=True)
    assert run.share.portion == 0


@pytest.mark.parametrize(
    ("threads", "hardware", "thread", "expected"),
    [(4, 1e-4, 4e-4, 0.5), (2, 1e-4, 6e-4, 0.25), (1, 1e-4, 1e-2, 1 / 101), (16, 1e-4, 4e-4, 0.5)],
)
def test_both_sides_take_the_same_time(threads: int, hardware: float, thread: float, expected: float) -> None:
    run = Run(threads).measured(hardware, thread)
    run.take(WINDOW, alone=0.01)
    share = run.share
    assert share.threads == min(threads, MOST_HELPERS)
    assert share.portion == pytest.approx(expected, rel=1e-3)
    assert share.portion * thread / share.threads == pytest.approx((1 - share.portion) * hardware, rel=1e-3)


def test_help_gets_less_as_the_consumer_waits_less() -> None:
    run = Run().measured(1e-4, 4e-4)
    run.take(MEASUREMENT, alone=0.01, helped=0.005)
    most = run.share.portion
    run.take(5, alone=0.01, is_ready=True)
    assert 0 < run.share.portion < most
    run.take(60, alone=0.01, is_ready=True)
    assert run.share.rows_of_threads(512) == 0


def test_a_first_portion_finds_out_how_fast_the_threads_are() -> None:
    run = Run()
    run.take(WINDOW, alone=0.01)
    assert run.share.portion == pytest.approx(1 / 8, rel=1e-3)
    run.share.hardware_took(0.0, 1.0, 100)
    assert run.share.portion == pytest.approx(1 / 8, rel=1e-3)


def test_speeds_are_followed() -> None:
    run = Run().measured(1e-4, 4e-4)
    run.take(WINDOW, alone=0.01)
    for _ in range(60):
        run.share.thread_took(3 * 4e-4, 1)
    assert run.share.portion == pytest.approx(0.25, rel=1e-3)


def test_waiting_for_the_batch_before_is_no_time_of_the_decoder() -> None:
    share = DecodeShare(4)
    share.hardware_took(0.0, 1.0, 100)
    share.hardware_took(0.1, 2.0, 100)  # asked for while the first was decoded
    share.hardware_took(0.2, 3.0, 100)
    assert share._hardware_seconds == pytest.approx(0.01)


def test_without_threads_the_hardware_does_all() -> None:
    run = Run(threads=0)
    run.take(3 * WINDOW, alone=1.0)
    assert run.share.portion == 0
    assert run.share.rows_of_threads(100) == 0
