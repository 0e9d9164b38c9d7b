"""Perceptual hashes: what is near, and that no near pair is missed."""

import cv2
import numpy as np
import pytest

from imclass.images.perceptual_hash import HASH_BITS, NEAR_BITS, differing_bits, groups, near_pairs, perceptual_hash


def picture(seed: int, side: int = 200) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (10, 10)).astype(np.uint8)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def distance(first: np.ndarray, second: np.ndarray) -> int:
    return int(differing_bits(perceptual_hash(first), perceptual_hash(second)))


@pytest.mark.parametrize("seed", range(5))
def test_the_same_picture_made_anew_is_near(seed: int) -> None:
    original = picture(seed)
    encoded = cv2.imencode(".jpg", original, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    assert distance(original, cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)) <= NEAR_BITS
    assert distance(original, cv2.resize(original, (150, 150), interpolation=cv2.INTER_AREA)) <= NEAR_BITS
    assert distance(original, (original * 0.8 + 20).astype(np.uint8)) <= NEAR_BITS
    assert distance(original, original[..., np.newaxis]) == 0


def test_other_pictures_are_far() -> None:
    hashes = np.stack([perceptual_hash(picture(seed)) for seed in range(40)])
    assert hashes.shape == (40, 2)
    distances = [
        int(differing_bits(hashes[i], hashes[j])) for i in range(40) for j in range(i)
    ]  # fmt: skip
    assert min(distances) > 3 * NEAR_BITS
    assert near_pairs(hashes).shape == (0, 2)


def test_flipped_pictures_are_far() -> None:
    original = picture(1)
    assert distance(original, original[:, ::-1].copy()) > 3 * NEAR_BITS


@pytest.mark.parametrize("most", [0, 1, 4, 7])
def test_no_near_pair_is_missed(most: int) -> None:
    generator = np.random.default_rng(most)
    bits = np.repeat(generator.integers(0, 2, (12, HASH_BITS), dtype=np.uint8), 8, axis=0)
    for row in bits:
        row[generator.choice(HASH_BITS, generator.integers(0, 5), replace=False)] ^= 1
    hashes = np.packbits(bits, axis=1).view(np.uint64)
    distances = (bits[:, None] != bits[None]).sum(axis=-1)
    near = np.triu(distances <= most, 1)
    by_hand = groups(len(bits), np.argwhere(near))
    assert groups(len(bits), near_pairs(hashes, most)) == by_hand
    assert len(by_hand) > 2
    assert all(distances[i, j] <= most for i, j in near_pairs(hashes, most))


def test_many_equal_hashes_make_few_pairs() -> None:
    pairs = near_pairs(np.zeros((5000, 2), np.uint64))
    assert pairs.tolist() == [[0, number] for number in range(1, 5000)]


def test_no_hashes_at_all() -> None:
    assert near_pairs(np.empty((0, 2), np.uint64)).shape == (0, 2)
    assert groups(0, np.empty((0, 2), np.int64)) == []


def test_groups_join_chains() -> None:
    pairs = np.array([[5, 6], [1, 2], [2, 4], [0, 6]])
    assert groups(8, pairs) == [[0, 5, 6], [1, 2, 4]]


def test_distance_out_of_range() -> None:
    with pytest.raises(ValueError, match="0 to 7"):
        near_pairs(np.zeros((1, 2), np.uint64), 8)
