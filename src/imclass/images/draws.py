"""The random numbers of augmentation: one row of uniforms for each sample and each pass through the data.

A row is a function of (seed, pass, sample index) alone. It therefore does not depend on threads, processes, batch
sizes or a restart. The numbers come from Philox, a generator that counts: the row of sample i starts at a known
count, so any row can be made without those before it.
"""

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

(
    SHEAR,
    ANGLE,
    SCALE,
    RATIO,
    CROP_Y,
    CROP_X,
    HUE,
    HUE_2,
    SATURATION,
    SATURATION_2,
    LIGHTNESS,
    LIGHTNESS_2,
    MIRROR,
) = range(13)
"""Columns of a row. Colour offsets take two uniforms each."""

COLUMNS = 16
"""Columns in all: the 13 above, rounded up to whole counts of the generator."""

_COUNTS_PER_ROW = 2  # one count gives four 64-bit words, which are eight float32
_STREAM = 0x696D61676573  # "images": keeps these numbers apart from other uses of the same seed
_LARGEST_TABLE = 128 << 20  # bytes; above it rows are made one by one, which is slower but needs no memory


class Draws:
    """Rows of uniforms for a data set.

    Args:
        seed: 0 .. 2**64 - 1.
        samples: number of samples in the data set.
    """

    def __init__(self, seed: int, samples: int) -> None:
        self._seed = seed
        self._samples = samples
        self._tables: dict[int, NDArray[np.float32]] = {}

    def rows(self, indices: NDArray[np.int64], passes: NDArray[np.int64]) -> NDArray[np.float32]:
        """The rows of a batch.

        Args:
            indices: (n,) samples, 0 <= index < samples.
            passes: (n,) pass through the data of each, from 0.

        Returns:
            (n, COLUMNS) float32 in [0, 1).
        """
        rows = np.empty((len(indices), COLUMNS), np.float32)
        for number in np.unique(passes).tolist():
            of_pass = passes == number
            rows[of_pass] = self._rows_of_pass(number, indices[of_pass])
        return rows

    def _rows_of_pass(self, number: int, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        if self._samples * COLUMNS * 4 <= _LARGEST_TABLE:
            return self._table(number)[indices]
        return np.concatenate([draw(self._seed, number, index, index + 1) for index in indices.tolist()])

    def _table(self, number: int) -> NDArray[np.float32]:
        if number not in self._tables:
            newest = sorted(self._tables)[-1:]  # a batch may reach from one pass into the next
            self._tables = {kept: self._tables[kept] for kept in newest}
            self._tables[number] = draw(self._seed, number, 0, self._samples)
        return self._tables[number]


def draw(seed: int, number: int, start: int, stop: int) -> NDArray[np.float32]:
    """The rows of samples start .. stop - 1 in pass `number`: (stop - start, COLUMNS) float32 in [0, 1)."""
    counter, key = np.array([0, 0, 0, _STREAM], np.uint64), np.array([seed, number], np.uint64)
    generator = Philox(counter=counter, key=key)
    generator.advance(start * _COUNTS_PER_ROW)
    return Generator(generator).random((stop - start, COLUMNS), dtype=np.float32)
