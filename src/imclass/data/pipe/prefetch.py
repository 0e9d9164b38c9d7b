"""Runs an iterator ahead of its consumer, on a thread, within bounds."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from types import TracebackType
from typing import Generic, Self, TypeVar

from imclass.data.pipe.fifo import WaitGivenUp

T = TypeVar("T")

LOOK_SECONDS = 0.2
END_SECONDS = 10.0


class Prefetch(Generic[T]):
    """The items of an iterator that a thread works through, at most `ahead` of them waiting.

    Args:
        make: gets a function that tells whether the work is to be given up, and makes the iterator, on the thread.
        ahead: bound of the items that wait, at least 1.
        name: of the thread.
    """

    def __init__(self, make: Callable[[Callable[[], bool]], Generator[T]], ahead: int, name: str) -> None:
        self._make = make
        self._queue: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(ahead)
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __iter__(self) -> Iterator[T]:
        """Yield the items.

        Raises:
            Exception: whatever the iterator raised, after the items before it.
        """
        while (entry := self._next()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]

    def _next(self) -> tuple[T] | BaseException | None:
        """Wait for the thread, whose own waits all have deadlines."""
        while True:
            try:
                return self._queue.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                assert self._thread.is_alive() or not self._queue.empty(), "the thread ends with an entry in the queue"

    def _work(self) -> None:
        try:
            with closing(self._make(self._is_stopping.is_set)) as items:
                for item in items:
                    if not self._put((item,)):
                        return
            self._put(None)
        except WaitGivenUp:
            return
        except BaseException as problem:  # noqa: BLE001  (not handled here: it goes to the consumer)
            self._put(problem)

    def _put(self, entry: tuple[T] | BaseException | None) -> bool:
        """Queue an entry; False when nobody wants it any more."""
        while not self._is_stopping.is_set():
            try:
                self._queue.put(entry, timeout=LOOK_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_stopping.set()
        self._thread.join(END_SECONDS)
