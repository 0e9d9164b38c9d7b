"""One function over many samples, on threads, with the results in order and a bounded number of them waiting."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from imclass.images.workers import Workers, available_cores

T = TypeVar("T")

PIECE = 8  # samples of one task: enough to make the cost of handing it to a thread small
PIECES_AHEAD = 4  # for each thread
STALL_SECONDS = 120.0


def map_in_order(function: Callable[[int], T], samples: Sequence[int], threads: int = 0) -> Generator[T]:
    """Yield `function(sample)` for each sample, in the order of the samples.

    At most 32 results a thread are ahead of the one that is yielded. Close the generator to end the threads early.

    Args:
        function: safe to call from several threads.
        threads: number of threads; 0 = one for each core that this process may use.

    Raises (while iterating):
        Exception: whatever the function raises, when the turn of the sample comes.
        RuntimeError: nothing was done for two minutes.
    """
    threads = threads or available_cores()
    workers = Workers(threads, STALL_SECONDS)
    ahead: deque[tuple[Future[None], list[T]]] = deque()
    starts = iter(range(0, len(samples), PIECE))
    try:
        while True:
            while len(ahead) < PIECES_AHEAD * threads and (start := next(starts, None)) is not None:
                results: list[T] = []
                task = partial(_work, function, samples[start : start + PIECE], results)
                ahead.append((workers.submit(task), results))
            if not ahead:
                return
            future, results = ahead.popleft()
            workers.wait([future])
            yield from results
    finally:
        workers.close()


def _work(function: Callable[[int], T], samples: Sequence[int], results: list[T]) -> None:
    results += [function(int(sample)) for sample in samples]
