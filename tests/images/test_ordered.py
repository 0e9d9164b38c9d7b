"""Results of threads, in order."""

import threading
import time
from contextlib import closing

import pytest

from imclass.images.ordered import PIECE, PIECES_AHEAD, map_in_order


@pytest.mark.parametrize("count", [0, 1, PIECE, 5 * PIECE + 3])
def test_results_come_in_the_order_of_the_samples(count: int) -> None:
    def slow_where_odd(sample: int) -> int:
        time.sleep(0.001 * (sample % 2))
        return sample * sample

    samples = list(range(count, 0, -1))
    assert list(map_in_order(slow_where_odd, samples, threads=3)) == [sample * sample for sample in samples]


def test_only_so_many_results_wait() -> None:
    begun = []
    with closing(map_in_order(begun.append, range(10_000), threads=2)) as results:
        for _ in range(PIECE):
            next(results)
        time.sleep(0.1)
        assert len(begun) <= (2 * PIECES_AHEAD + 1) * PIECE


def test_an_error_comes_through_and_the_threads_end() -> None:
    before = threading.active_count()

    def fail_at_20(sample: int) -> int:
        if sample == 20:
            raise ValueError("sample 20")
        return sample

    with pytest.raises(ValueError, match="sample 20"):
        list(map_in_order(fail_at_20, range(100), threads=2))
    assert threading.active_count() == before
