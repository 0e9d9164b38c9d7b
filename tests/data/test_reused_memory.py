"""Memory that is used again: the same while it is large enough, never more than its limit."""

import numpy as np
import pytest
from numpy.typing import NDArray

from imclass.data.reused_memory import ReusedMemory


def test_smaller_and_slightly_larger_arrays_lie_in_the_same_memory() -> None:
    memory = ReusedMemory()
    first = memory.array((100, 40))
    assert (first.shape, first.dtype, first.flags.c_contiguous) == ((100, 40), np.uint8, True)
    for shape in [(3, 5, 2), (4000,), (110, 40)]:
        again = memory.array(shape)
        assert again.shape == shape
        assert again.ctypes.data == first.ctypes.data


def test_it_grows() -> None:
    memory = ReusedMemory()
    small = memory.array((10,))
    large = memory.array((1000,))
    large[:] = 7
    assert not np.may_share_memory(small, large)
    assert memory.array((10,)).tolist() == [7] * 10


@pytest.mark.parametrize("first", [0, 90, 100])
def test_arrays_above_the_limit_have_their_own(first: int) -> None:
    memory = ReusedMemory(limit=100)
    kept, own = memory.array((first,)), memory.array((101,))
    assert not np.may_share_memory(kept, own)
    assert not np.may_share_memory(own, memory.array((101,)))
    assert memory.array((100,)).base.nbytes <= 100


def test_memory_comes_from_where_it_is_told_to() -> None:
    asked: list[int] = []

    def allocate(count: int) -> NDArray[np.uint8]:
        asked.append(count)
        return np.full(count, 3, np.uint8)

    memory = ReusedMemory(limit=100, allocate=allocate)
    assert memory.array((4, 10)).tolist() == [[3] * 10] * 4
    assert memory.array((2, 101)).tolist() == [[3] * 101] * 2
    assert memory.array((45,)).tolist() == [3] * 45
    assert asked == [50, 202]
