import numpy as np
import pytest
import torch

from imclass.training.mixing import mix, rectangle

IMAGES = torch.arange(4.0)[:, None, None, None].expand(4, 3, 8, 6).contiguous()
LABELS = torch.tensor([[0.0], [1.0], [2.0], [3.0]])


def test_off_leaves_the_batch_alone() -> None:
    mixed = mix(IMAGES, LABELS, 0, 0, seed=1, step=2)
    assert mixed.images is IMAGES
    assert mixed.partner_labels is None


def test_mixup_blends_with_the_opposite_image() -> None:
    mixed = mix(IMAGES, LABELS, 0.5, 0, seed=1, step=2)
    own = mixed.labels[:, :, None, None]
    partners = mixed.partner_labels[:, :, None, None]
    assert mixed.share >= 0.5
    assert torch.equal(mixed.labels.flip(0), mixed.partner_labels)
    assert torch.allclose(mixed.images, (own * mixed.share + partners * (1 - mixed.share)).expand_as(IMAGES))


def test_cutmix_share_is_the_area_that_is_left() -> None:
    for step in range(50):
        mixed = mix(IMAGES, LABELS, 0, 1.0, seed=0, step=step)
        own = (mixed.images[0, 0] == mixed.labels[0]).float().mean().item()
        assert own == pytest.approx(mixed.share)


def test_a_function_of_seed_and_step() -> None:
    def share(seed: int, step: int) -> float:
        return mix(IMAGES, LABELS, 0.4, 0, seed, step).share

    assert share(1, 2) == share(1, 2)
    assert len({share(1, step) for step in range(10)} | {share(2, 2)}) == 11


def test_both_take_turns() -> None:
    shares = [mix(IMAGES, LABELS, 1.0, 1.0, 0, step) for step in range(40)]
    blended = sum(not torch.equal(mixed.images, mixed.images.round()) for mixed in shares)
    assert 10 < blended < 30


def test_rectangle_stays_inside() -> None:
    generator = np.random.default_rng(0)
    for area in (0.0, 0.3, 1.0):
        for _ in range(100):
            top, bottom, left, right = rectangle(7, 12, area, generator)
            assert 0 <= top <= bottom <= 7
            assert 0 <= left <= right <= 12
