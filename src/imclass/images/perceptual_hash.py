"""Hashes of pictures that stay nearly the same when a picture is stored, resized or brightened anew.

Difference hash (dHash, N. Krawetz, "Kind of Like That", 2013), in two directions: the picture is made grey and shrunk,
and a bit says whether a cell is brighter than the one to its left (64 bits, 9x8 cells) or above it (64 bits, 8x9).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = 8
HASH_BITS = 2 * CELLS * CELLS
HASH_WORDS = HASH_BITS // 64
NEAR_BITS = 6
"""Two pictures are near duplicates when at most this many of the 128 bits differ."""

_BAND_BITS = 16
_PAIRS_AT_ONCE = 1 << 22
_BITS_SET = np.array([number.bit_count() for number in range(256)], np.uint8)

Hashes = NDArray[np.uint64]
Pairs = NDArray[np.int64]


def perceptual_hash(grey: NDArray[np.uint8]) -> Hashes:
    """The hash of a picture.

    Args:
        grey: (H, W) or (H, W, 1) uint8.

    Returns:
        (2,) uint64: differences along rows and along columns.
    """
    across = cv2.resize(grey, (CELLS + 1, CELLS), interpolation=cv2.INTER_AREA)
    down = cv2.resize(grey, (CELLS, CELLS + 1), interpolation=cv2.INTER_AREA)
    bits = np.concatenate([(across[:, 1:] > across[:, :-1]).ravel(), (down[1:] > down[:-1]).ravel()])
    return np.packbits(bits).view(np.uint64)


def differing_bits(first: Hashes, second: Hashes) -> NDArray[np.int64]:
    """Number of bits in which hashes differ: (..., 2) and (..., 2) to (...)."""
    different = np.ascontiguousarray(first ^ second).view(np.uint8)
    return np.asarray(_BITS_SET[different].sum(axis=-1), np.int64)


def near_pairs(hashes: Hashes, most: int = NEAR_BITS) -> Pairs:
    """All pairs of different rows whose hashes differ in at most `most` bits.

    Of two hashes with at most 7 different bits, one of their eight bands of 16 bits is equal: only hashes that share a
    band are compared.

    Args:
        hashes: (N, 2) uint64. Of equal hashes each is paired with the first only, not with one another.
        most: 0 to 7.

    Returns:
        (M, 2) int64 row numbers, the smaller first, sorted, each pair once.
    """
    bands = HASH_BITS // _BAND_BITS
    if not 0 <= most < bands:
        raise ValueError(f"most must be 0 to {bands - 1}, not {most}")
    different, first, inverse = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    firsts = first[inverse.reshape(-1)]
    equal = np.flatnonzero(firsts != np.arange(len(hashes)))
    found = [np.stack([firsts[equal], equal], axis=1)]
    words = np.ascontiguousarray(different).view(np.uint16)
    for band in range(bands if most and len(different) > 1 else 0):
        found += [first[pairs] for pairs in _near_in_band(different, words[:, band], most)]
    pairs = np.sort(np.concatenate(found).astype(np.int64), axis=1)
    return np.unique(pairs, axis=0)


def _near_in_band(hashes: Hashes, band: NDArray[np.uint16], most: int) -> list[Pairs]:
    """Pairs of different hashes that are equal in one band and near in all."""
    order = np.argsort(band, kind="stable")
    starts = np.flatnonzero(np.diff(band[order], prepend=np.int64(-1)))
    found = []
    for bucket in np.split(order, starts[1:]):
        rows_at_once = max(1, _PAIRS_AT_ONCE // len(bucket))
        for start in range(0, len(bucket) - 1, rows_at_once):
            rows, others = bucket[start : start + rows_at_once], bucket[start:]
            near = differing_bits(hashes[rows, None], hashes[None, others]) <= most
            row, other = np.nonzero(np.triu(near, 1))
            found.append(np.stack([rows[row], others[other]], axis=1))
    return found


def groups(count: int, pairs: Pairs) -> list[list[int]]:
    """Join pairs into groups: whoever is paired with a member belongs to the group.

    Args:
        count: number of rows.
        pairs: (M, 2) row numbers.

    Returns:
        The groups of two and more, each sorted, in the order of their first members.
    """
    parents = list(range(count))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    for first, second in pairs.tolist():
        low, high = sorted((root(first), root(second)))
        parents[high] = low
    members: dict[int, list[int]] = {}
    for row in np.unique(pairs).tolist():
        members.setdefault(root(row), []).append(row)
    return sorted(members.values())
