"""Runs one function over many things on threads that never hold up the end of the program."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from imclass.errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")

STALL_SECONDS = 300.0


def in_parallel(
    function: Callable[[Item], Iterable[Result]],
    items: Iterable[Item],
    threads: int,
    stall_seconds: float = STALL_SECONDS,
) -> Iterator[Result]:
    """Yield what `function(item)` yields of all items, in the order in which it becomes ready.

    Closing the iterator, or an error, stops the threads after the result that they have in hand.

    Raises:
        DataError: nothing became ready for `stall_seconds`.
        Exception: the first that the function raises.
    """
    waiting = iter(items)
    lock, stop = threading.Lock(), threading.Event()
    ready: queue.SimpleQueue[tuple[list[Result], BaseException | None, bool]] = queue.SimpleQueue()

    def work() -> None:
        try:
            while not stop.is_set():
                with lock:
                    chosen = list(islice(waiting, 1))
                if not chosen:
                    break
                for result in function(chosen[0]):
                    ready.put(([result], None, False))
                    if stop.is_set():
                        break
        except BaseException as error:  # noqa: BLE001  (not handled here: it goes to whoever waits)
            ready.put(([], error, True))
        else:
            ready.put(([], None, True))

    workers = [threading.Thread(target=work, name=f"imclass-fetch-{number}", daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    running = len(workers)
    try:
        while running:
            try:
                results, error, ended = ready.get(timeout=stall_seconds)
            except queue.Empty:
                raise DataError(f"nothing came for {stall_seconds:g} seconds", where="remote data") from None
            if error is not None:
                raise error
            running -= ended
            yield from results
    finally:
        stop.set()
