"""How many JPEGs of a batch the CPU threads decode, where the hardware decoder alone is too slow."""

import threading
import time
from collections.abc import Callable

MOST_HELPERS = 4
"""So many CPU threads help at most: more of them take more time from the decoder's own threads than they give."""

SETTLING, COUNTED, KEPT = 8, 32, 1024
"""Batches after a change that still come from before it; over which a speed is measured; for which its result holds."""

MOST_KEPT = 64 * KEPT
"""A measurement that gives what the one before gave holds twice as long as that one, up to this."""

LEAST_GAIN = 1.05
"""By so much help must make the whole faster, or it is left out."""

_INERTIA = 0.8  # weight of the past in each measurement
_FIRST_PORTION = 1 / 8  # before it is known how fast the threads are
_MUCH_WAITING = 0.5  # part of the batches that the consumer has to wait for


class DecodeShare:
    """Divides batches between the hardware decoder and the CPU threads, by what is delivered.

    Threads take time from the decoder: they compete with it, and with the consumer, for Python and for cores. So the
    rule is to try it: where the consumer waits for its batches, images a second are measured over `COUNTED` batches
    without help, with it, and without it again, because speeds change by themselves, at the start of a run above all.
    Help that beats both stays for `KEPT` batches; else none is given so long. A result that is found again holds
    longer. While the consumer seldom waits, nothing is tried.

    Help is a portion of each batch, so large that both sides would be done at the same time by their own speeds. It
    gets smaller as the consumer waits less.

    Args:
        threads: number of CPU threads; 0 leaves everything to the hardware decoder.
        clock: tells seconds.
    """

    def __init__(self, threads: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.threads = min(threads, MOST_HELPERS)
        self._clock = clock
        self._lock = threading.Lock()
        self._hardware_seconds: float | None = None
        self._hardware_free_at = 0.0
        self._thread_seconds: float | None = None
        self._need = 0.0
        self._helps = False
        self._kept = 0  # batches for which the present choice holds
        self._last: bool | None = None  # what was chosen before
        self._holds = KEPT
        self._speeds: list[float] = []  # of the measurement that is under way: alone, helped, alone
        self._start_window()

    @property
    def portion(self) -> float:
        """The threads' part of the next batch, 0..1."""
        with self._lock:
            if not self._helps:
                return 0.0
            if self._hardware_seconds is None or self._thread_seconds is None:
                return self._need * _FIRST_PORTION
            per_image = self._thread_seconds / self.threads  # seconds an image of all threads together
            return self._need * self._hardware_seconds / (self._hardware_seconds + per_image)

    def rows_of_threads(self, planned: int) -> int:
        """How many of `planned` images the threads decode."""
        return int(self.portion * planned)

    def hardware_took(self, start: float, end: float, images: int) -> None:
        """Tell when the decoder was asked for a number of images, and when it gave them.

        Several batches wait for it at the same time; one is begun when the one before is done.
        """
        with self._lock:
            seconds = end - min(end, max(start, self._hardware_free_at))
            self._hardware_free_at = max(end, self._hardware_free_at)
            self._hardware_seconds = _mixed(self._hardware_seconds, seconds / images)

    def thread_took(self, seconds: float, images: int) -> None:
        """Tell how long one thread was busy with a number of images."""
        with self._lock:
            self._thread_seconds = _mixed(self._thread_seconds, seconds / images)

    def begin_pass(self) -> None:
        """Tell that batches are delivered from now on; what passed since the last of them is not counted."""
        with self._lock:
            self._start_window()

    def asked(self, images: int, *, is_ready: bool) -> None:
        """Tell that the consumer asks for a batch of so many images, and whether it was ready."""
        with self._lock:
            self._need = _mixed(self._need, 0.0 if is_ready else 1.0)
            if self.threads == 0:
                return
            if self._kept > 0:
                self._kept -= 1
                if self._kept == 0:
                    self._helps = False
                    self._start_window()
                return
            self._count(images)

    def _start_window(self) -> None:
        self._batches, self._images, self._since = 0, 0, 0.0

    def _count(self, images: int) -> None:
        """Count a batch of the measurement that is under way."""
        self._batches += 1
        if self._batches <= SETTLING:
            self._since = self._clock()
            return
        self._images += images
        if self._batches < SETTLING + COUNTED:
            return
        self._speeds.append(self._images / max(self._clock() - self._since, 1e-9))
        self._start_window()
        if len(self._speeds) == 1 and self._need <= _MUCH_WAITING:
            self._speeds.clear()
        if len(self._speeds) < 3:
            self._helps = len(self._speeds) == 1
            return
        before, helped, after = self._speeds
        self._speeds.clear()
        self._helps = helped > LEAST_GAIN * max(before, after)
        self._holds = min(2 * self._holds, MOST_KEPT) if self._helps == self._last else KEPT
        self._last, self._kept = self._helps, self._holds


def _mixed(past: float | None, now: float) -> float:
    return now if past is None else _INERTIA * past + (1 - _INERTIA) * now
