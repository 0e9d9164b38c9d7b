"""Memory that is used again and again, where each use would otherwise take new memory from the system."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Allocate = Callable[[int], NDArray[np.uint8]]
"""Gives so many bytes, of any content, that begin at a multiple of 8."""

_HEADROOM = 4  # memory that is too small grows by a quarter more than is needed, so that it seldom has to


class ReusedMemory:
    """One array at a time, in the same memory as the one before. For one thread at a time.

    The system hands out new memory page by page, each filled with zeros, and takes it back with a word to every core
    on which a thread of this process runs. Threads that decode 500 images a second each wait for one another there.
    The memory grows to the largest array that is kept, and is given back with this object.

    Args:
        limit: bytes of the largest array that is kept; larger ones get memory of their own. None: all are kept.
        allocate: where the memory comes from.
    """

    def __init__(self, limit: int | None = None, allocate: Allocate | None = None) -> None:
        self._limit = limit
        self._allocate = allocate or _ordinary
        self._kept: NDArray[np.uint8] = np.empty(0, np.uint8)

    def array(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """(shape) uint8 of any content, contiguous, begins at a multiple of 8 bytes.

        It holds until the next call, which gives away its memory.
        """
        count = math.prod(shape)
        if self._limit is not None and count > self._limit:
            return self._allocate(count).reshape(shape)
        if count > len(self._kept):
            room = count + count // _HEADROOM
            self._kept = self._allocate(room if self._limit is None else min(room, self._limit))
        return self._kept[:count].reshape(shape)


def _ordinary(count: int) -> NDArray[np.uint8]:
    return np.empty(count, np.uint8)
