"""How many JPEGs of a batch the CPU threads decode, so that they and the hardware decoder are done at the same time."""

import threading

_INERTIA = 0.8  # weight of the past in each measurement
_FIRST_PORTION = 1 / 8  # before it is known how fast the threads are


class DecodeShare:
    """Divides batches between the hardware decoder and the CPU threads by their measured speeds.

    While the consumer never waits for a batch the threads get nothing: there is no use in their work, and they would
    compete with the consumer for Python and for cores. The longer it waits, the nearer their portion comes to the one
    at which both take the same time.

    Args:
        threads: number of CPU threads; 0 leaves everything to the hardware decoder.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._hardware_seconds: float | None = None
        self._thread_seconds: float | None = None
        self._need = 0.0

    @property
    def portion(self) -> float:
        """The threads' part of the next batch, 0..1."""
        with self._lock:
            if self._threads == 0:
                return 0.0
            if self._hardware_seconds is None or self._thread_seconds is None:
                return self._need * _FIRST_PORTION
            per_image = self._thread_seconds / self._threads  # seconds an image of all threads together
            return self._need * self._hardware_seconds / (self._hardware_seconds + per_image)

    def rows_of_threads(self, planned: int) -> int:
        """How many of `planned` images the threads decode."""
        return int(self.portion * planned)

    def hardware_took(self, seconds: float, images: int) -> None:
        """Tell how long the decoder was busy with a number of images."""
        with self._lock:
            self._hardware_seconds = _mixed(self._hardware_seconds, seconds / images)

    def thread_took(self, seconds: float, images: int) -> None:
        """Tell how long one thread was busy with a number of images."""
        with self._lock:
            self._thread_seconds = _mixed(self._thread_seconds, seconds / images)

    def asked(self, *, is_ready: bool) -> None:
        """Tell whether a batch was ready when the consumer asked for it."""
        with self._lock:
            self._need = _mixed(self._need, 0.0 if is_ready else 1.0)


def _mixed(past: float | None, now: float) -> float:
    return now if past is None else _INERTIA * past + (1 - _INERTIA) * now
