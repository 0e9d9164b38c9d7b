"""One function over a stream of items, on threads, with the results in the order of the items."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

AHEAD = 2
"""Items that are taken at a time, for each thread: one at work, one that waits for it."""


def in_order(function: Callable[[T], U], items: Iterable[T], threads: int) -> Generator[U]:
    """Yield `function(item)` for each item. Items are taken in the caller's thread, a bounded number of them ahead.

    Raises (while iterating):
        Exception: whatever the function raises, when the turn of its item comes.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="transform")
    ahead: deque[Future[U]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) == AHEAD * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
