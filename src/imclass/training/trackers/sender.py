"""One tracker, on a thread of its own."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue

from imclass.training.trackers.tracker import Ending, Metrics, Tracker

log = logging.getLogger(__name__)

LONGEST_REASON = 300  # characters


class Sender:
    """Passes on to a tracker what a run tells, in order, while the run goes on.

    What a tracker raises never ends a run: the first time is logged, and `lost` tells in the end what is missing.
    Epochs that it did not take are offered again with the next one.
    """

    def __init__(self, name: str, tracker: Tracker) -> None:
        self.name = name
        self.tracker = tracker
        self.failures = 0
        self._untaken: deque[tuple[int, Metrics]] = deque()
        self._lost_batches = 0
        self._has_ended = False
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # Not waited for when Python ends: `wait` has a deadline, and a server that never answers has none.
        self._thread = threading.Thread(target=self._send, name=f"imclass-tracker-{name}", daemon=True)
        self._thread.start()

    def batches(self, points: Sequence[tuple[int, Metrics]]) -> None:
        self._work.put(partial(self._send_batches, points))

    def epoch(self, epoch: int, metrics: Metrics) -> None:
        self._work.put(partial(self._send_epoch, epoch, metrics))

    def end(self, ending: Ending) -> None:
        self._work.put(partial(self._send_end, ending))
        self._work.put(None)

    def wait(self, deadline: float) -> None:
        """Wait until all is sent after `end`, or until `deadline` by `time.monotonic`."""
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def lost(self) -> list[str]:
        """What the tracker has not taken, once it was waited for."""
        epochs = [epoch for epoch, _ in self._untaken]
        words = []
        if epochs:
            words.append(f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}")
        if self._lost_batches:
            words.append(f"the figures of {self._lost_batches} log line{'s' if self._lost_batches > 1 else ''}")
        if self._thread.is_alive():
            words.append("what it had not taken in time")
        elif not self._has_ended:
            words.append("the end of the run and its files")
        return words

    def _send(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _send_batches(self, points: Sequence[tuple[int, Metrics]]) -> None:
        if not self._offer(partial(self.tracker.batches, points)):
            self._lost_batches += len(points)

    def _send_epoch(self, epoch: int, metrics: Metrics) -> None:
        self._untaken.append((epoch, metrics))
        self._send_untaken()

    def _send_untaken(self) -> None:
        while self._untaken and self._offer(partial(self.tracker.epoch, *self._untaken[0])):
            self._untaken.popleft()

    def _send_end(self, ending: Ending) -> None:
        self._send_untaken()
        self._has_ended = self._offer(partial(self.tracker.end, ending))

    def _offer(self, call: Callable[[], None]) -> bool:
        """Whether the tracker took it."""
        try:
            call()
        except Exception as error:  # noqa: BLE001  (a plug-in may raise anything, and the run counts more)
            self.failures += 1
            if self.failures == 1:
                reason = " ".join(str(error).split())[:LONGEST_REASON] or repr(error)
                log.warning("%s does not record what it was told; the run goes on: %s", self.name, reason)
            return False
        return True
