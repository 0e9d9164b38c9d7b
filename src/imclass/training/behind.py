"""Work that goes on behind the training: one piece at a time, on a thread of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

DEADLINE_SECONDS = 600.0


class Behind:
    """Does a piece of work while the caller goes on.

    Args:
        deadline_seconds: how long a piece may take once it is waited for.
    """

    def __init__(self, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self.deadline_seconds = deadline_seconds
        self._under_way: Future[None] | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Begin a piece of work, after the one before has ended; raises as `finish`."""
        self.finish()
        self._under_way = Future()
        # Not held up at exit by a disk that never answers: `finish` has a deadline, an executor's threads have none.
        threading.Thread(target=_carry_out, args=(work, self._under_way), name="imclass-behind", daemon=True).start()

    def finish(self) -> None:
        """Wait for the piece that is under way, if any.

        Raises:
            RuntimeError: it took longer than the deadline.
            Exception: what the work raised; once.
        """
        if self._under_way is None:
            return
        under_way, self._under_way = self._under_way, None
        try:
            under_way.result(self.deadline_seconds)
        except TimeoutError:
            if under_way.done():
                raise
            raise RuntimeError(
                f"the files of an epoch were not written within {self.deadline_seconds:g} seconds. Is the storage of "
                "the output folder still there?"
            ) from None


def _carry_out(work: Callable[[], None], outcome: Future[None]) -> None:
    try:
        work()
    except BaseException as problem:  # noqa: BLE001  (not handled here: it goes to whoever waits)
        outcome.set_exception(problem)
    else:
        outcome.set_result(None)
