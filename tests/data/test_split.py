"""The split: stratified, repeatable, and the same everywhere."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imclass.data import Source, Subset, split
from imclass.data.image_files import ImageFiles
from imclass.data.split import _mix
from imclass.errors import DataError


def source_of(labels: object) -> Source:
    array = np.array(labels, np.float32)
    array = array.reshape(len(array), -1)
    return ImageFiles("photos", Path(), [f"{number}.jpg" for number in range(len(array))], array, None)


@settings(max_examples=200, deadline=None)
@given(
    labels=st.lists(st.integers(0, 6), min_size=2, max_size=80),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(-5, 2**70),
)
def test_every_class_with_two_samples_is_on_both_sides(labels: list[int], fraction: float, seed: int) -> None:
    counts = Counter(labels)
    if max(counts.values()) < 2:
        return
    train, validation = split(source_of(labels), fraction, seed)
    assert sorted([*train.indices, *validation.indices]) == list(range(len(labels)))
    trained, validated = Counter(train.labels[:, 0].tolist()), Counter(validation.labels[:, 0].tolist())
    for label, count in counts.items():
        assert trained[label] >= 1
        assert (validated[label] >= 1) == (count >= 2)
        assert abs(validated[label] - count * fraction) <= 1


@pytest.mark.parametrize(("fraction", "wanted"), [(0.2, 200), (0.1, 100), (0.05, 71), (0.5, 497)])
def test_total_is_near_the_fraction(fraction: float, wanted: int) -> None:
    """71 classes of 14: shares of 1.4 must not all be rounded down."""
    _, validation = split(source_of(np.repeat(np.arange(71), 14)), fraction, 0)
    assert len(validation) == pytest.approx(max(71, 994 * fraction), abs=1)
    assert abs(len(validation) - wanted) <= 3


def test_the_split_is_the_same_everywhere() -> None:
    """These numbers must never change: a run that is resumed elsewhere needs the same parts."""
    _, validation = split(source_of([0] * 20 + [1] * 10), 0.2, seed=1)
    assert validation.indices.tolist() == [6, 8, 12, 19, 28, 29]
    _, other = split(source_of([0] * 20 + [1] * 10), 0.2, seed=2)
    assert other.indices.tolist() != validation.indices.tolist()


def test_hash_is_splitmix64() -> None:
    """The first outputs of the published generator for the seed 1234567."""
    step = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + step * number) % 2**64 for number in range(3)], np.uint64)
    assert _mix(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_seeds_give_every_sample_the_same_chance() -> None:
    source = source_of([0] * 50)
    chosen = np.bincount(np.concatenate([split(source, 0.2, seed)[1].indices for seed in range(500)]), minlength=50)
    assert chosen.sum() == 500 * 10
    assert abs(chosen - 100).max() < 45  # five standard deviations


def test_label_combinations() -> None:
    combinations = [[1, 0, 0]] * 10 + [[1, 1, 0]] * 10 + [[0, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 0]]
    train, validation = split(source_of(combinations), 0.25, 3)
    rows = Counter(map(tuple, validation.labels.tolist()))
    assert rows[(1, 0, 0)] in (2, 3)
    assert rows[(1, 1, 0)] in (2, 3)
    assert sum(rows.values()) == 6
    assert len(train) == 18


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(DataError, match="above 0 and below 1"):
        split(source_of([0, 0, 1]), fraction, 0)


def test_too_few_images() -> None:
    with pytest.raises(DataError, match="2 images are too few"):
        split(source_of([0, 1]), 0.5, 0)


def test_subset() -> None:
    whole = source_of([5, 6, 7])
    part = Subset(whole, np.array([2, 0]))
    assert (len(part), part.name, part.class_names) == (2, "photos", None)
    assert part.labels.tolist() == [[7], [5]]
    assert [part.key(0), part.key(1)] == ["2.jpg", "0.jpg"]
    with pytest.raises(IndexError):
        part.key(2)
