"""SIGTERM as a request: the run finishes its step, saves and ends."""

import signal
import threading
from types import FrameType, TracebackType


class StopRequest:
    """While entered, SIGTERM sets `requested` instead of ending the process. The old handler comes back on exit."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: object = None

    def __enter__(self) -> "StopRequest":
        # Only the main thread may set handlers; elsewhere (a notebook's worker thread) SIGTERM keeps its meaning.
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._request)
        return self

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._previous)  # type: ignore[arg-type]
