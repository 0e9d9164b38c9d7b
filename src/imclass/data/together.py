"""Reads the images of a batch at once, from data sets that can do so faster than image by image."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from imclass.data.reused_memory import ReusedMemory
from imclass.data.source import Source, innermost, through

ReadTogether = Callable[[NDArray[np.int64], ReusedMemory], list[memoryview | None]]
"""Reads the encoded images of samples (n,) into the memory. None stands for each that has to be read by itself."""


@runtime_checkable
class ReadsTogether(Protocol):
    """What a source has besides whose images can be read at once."""

    def read_together(self, indices: NDArray[np.int64], memory: ReusedMemory) -> list[memoryview | None]:
        """Read the encoded images of samples (n,); see `ReadTogether`."""
        ...


def together(source: Source) -> ReadTogether | None:
    """What reads many images of a source at once; None where they are read one by one."""
    whole, places = innermost(source)
    if not isinstance(whole, ReadsTogether):
        return None
    read = whole.read_together
    return lambda indices, memory: read(through(places, indices), memory)
