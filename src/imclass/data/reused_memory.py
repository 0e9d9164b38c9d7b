"""Memory that is used again and again, where each use would otherwise take new memory from the system."""

import math

import numpy as np
from numpy.typing import NDArray

LIMIT = 32 << 20
"""Bytes of the largest array that is kept. What takes longer to fill gains nothing from it."""


class ReusedMemory:
    """One array at a time, in the same memory as the one before. For one thread at a time.

    The system hands out new memory page by page, each filled with zeros, and takes it back with a word to every core
    on which a thread of this process runs. Threads that decode 500 images a second each wait for one another there.

    Args:
        limit: bytes of the largest array that is kept; larger ones get memory of their own.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._kept: NDArray[np.uint8] = np.empty(0, np.uint8)

    def array(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """(shape) uint8 of any content, contiguous. It holds until the next call, which gives away its memory."""
        count = math.prod(shape)
        if count > self._limit:
            return np.empty(shape, np.uint8)
        if count > len(self._kept):
            self._kept = np.empty(min(self._limit, count + count // 4), np.uint8)  # the next one may be a bit larger
        return self._kept[:count].reshape(shape)
