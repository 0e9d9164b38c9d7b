"""Mixup (Zhang et al. 2018, arXiv:1710.09412) and CutMix (Yun et al. 2019, arXiv:1905.04899) of whole batches.

Each image is blended with, or gets a rectangle of, the image that stands opposite in the batch, and the loss is the
same blend of the losses for both labels.
"""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Mixed:
    """A mixed batch.

    Attributes:
        images: (n, C, H, W).
        labels: (n, L) of the images that have the larger share, by which answers are judged.
        partner_labels: (n, L) of the others; None if the batch was left alone.
        share: weight of `labels`, between 0.5 and 1.
    """

    images: torch.Tensor
    labels: torch.Tensor
    partner_labels: torch.Tensor | None
    share: float


def mix(
    images: torch.Tensor, labels: torch.Tensor, mixup_alpha: float, cutmix_alpha: float, seed: int, step: int
) -> Mixed:
    """Mix a batch. All randomness comes from (seed, step), so it is the same on every process.

    Args:
        images: (n, C, H, W) floating point; of any type when both are off.
        labels: (n, L).
        mixup_alpha: parameter of the Beta distribution of the share; 0 turns mixup off.
        cutmix_alpha: the same for CutMix. With both on, each batch takes one of them at random.
    """
    if mixup_alpha == 0 and cutmix_alpha == 0:
        return Mixed(images, labels, None, 1.0)
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, step, 0x313])))
    cut = cutmix_alpha > 0 and (mixup_alpha == 0 or generator.random() < 0.5)
    alpha = cutmix_alpha if cut else mixup_alpha
    share = float(generator.beta(alpha, alpha))
    partners = images.flip(0)
    if not cut:
        return _mixed(images * share + partners * (1.0 - share), labels, share)
    height, width = images.shape[2:]
    top, bottom, left, right = rectangle(height, width, 1.0 - share, generator)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = partners[:, :, top:bottom, left:right]
    return _mixed(mixed, labels, 1.0 - (bottom - top) * (right - left) / (height * width))


def _mixed(images: torch.Tensor, labels: torch.Tensor, share: float) -> Mixed:
    partners = labels.flip(0)
    return Mixed(images, labels, partners, share) if share >= 0.5 else Mixed(images, partners, labels, 1.0 - share)


def rectangle(height: int, width: int, area: float, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of a rectangle with the picture's aspect and `area` of its area, cut at the borders."""
    side = area**0.5
    half_height, half_width = int(height * side) // 2, int(width * side) // 2
    y, x = int(generator.integers(height)), int(generator.integers(width))
    return (
        max(0, y - half_height),
        min(height, y + half_height),
        max(0, x - half_width),
        min(width, x + half_width),
    )
