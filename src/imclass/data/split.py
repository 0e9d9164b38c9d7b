"""Splits a source into a training and a validation part.

The order of samples comes from a hash of the seed and the sample's number (SplitMix64, Steele, Lea and Flood,
"Fast splittable pseudorandom number generators", 2014), so that the same seed gives the same split on every
platform and with every version of NumPy.
"""

import numpy as np
from numpy.typing import NDArray

from imclass.data.source import Source, Subset
from imclass.errors import DataError


def split(source: Source, fraction: float, seed: int) -> tuple[Subset, Subset]:
    """Split a source at random, class by class.

    Every class with two samples or more has at least one in each part; one with a single sample is trained
    on. Of data with several labels an image, samples with the same combination of labels are a group; all
    combinations that occur once are one group together.

    Args:
        fraction: the share of the validation part, above 0 and below 1.
        seed: any whole number.

    Returns:
        The training part and the validation part, each in the order of the source.

    Raises:
        DataError: the fraction is not between 0 and 1, or the source is too small for two parts.
    """
    if not 0 < fraction < 1:
        raise DataError(f"the validation split must be above 0 and below 1, not {fraction}")
    groups = _groups(source.labels)
    taken = _validation_counts(np.bincount(groups), fraction)
    if not taken.sum():
        raise DataError(
            f"{len(source)} images are too few to set some aside for validation",
            where=source.name,
            fix="At least one class needs two images; or give validation images of their own.",
        )
    chosen = _ranks_in_group(groups, _shuffle_keys(len(source), seed)) < taken[groups]
    return (
        Subset(source, np.flatnonzero(~chosen), f"{source.name} (training part)"),
        Subset(source, np.flatnonzero(chosen), f"{source.name} (validation part)"),
    )


def _groups(labels: NDArray[np.float32]) -> NDArray[np.int64]:
    """Number the groups of samples that are split on their own: (N,) int64, from 0 without holes."""
    _, groups, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    groups = groups.reshape(-1).astype(np.int64)
    if labels.shape[1] > 1:
        groups[counts[groups] == 1] = len(counts)
        _, groups = np.unique(groups, return_inverse=True)
    return groups.reshape(-1).astype(np.int64)


def _validation_counts(counts: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Return how many of each group to take, so that their sum is as near to the fraction as groups allow.

    Each group gives the whole part of its share, but at least one and never all; then the groups with the
    largest remainders give one more until the total is reached.
    """
    shares = counts * fraction
    most = np.maximum(counts - 1, 0)
    taken = np.clip(np.floor(shares).astype(np.int64), np.minimum(1, most), most)
    wanted = round(float(counts.sum()) * fraction) - int(taken.sum())
    remainders = np.where(taken < most, shares - taken, -np.inf)
    by_remainder = np.argsort(-remainders, kind="stable")[: max(wanted, 0)]
    taken[by_remainder[remainders[by_remainder] > 0]] += 1
    return np.asarray(taken, np.int64)


def _ranks_in_group(groups: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the place of each sample in its group, ordered by key."""
    order = np.lexsort((keys, groups))
    counts = np.bincount(groups)
    first = np.cumsum(counts) - counts
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(first, counts)
    return ranks


def _shuffle_keys(count: int, seed: int) -> NDArray[np.uint64]:
    """Return (count,) uint64 hashes of the seed and 0, 1, 2, ..."""
    start = _mix(np.array([seed % 2**64], np.uint64))
    numbers = np.arange(count, dtype=np.uint64)
    return _mix(np.add(start, numbers, dtype=np.uint64))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One step of SplitMix64 for each value, modulo 2^64."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
