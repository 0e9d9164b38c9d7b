"""Carries out a `BatchPlan` on the device, in one launch of one kernel."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.images.decode import SCALE_DIVISORS
from imclass.images.plan_batch import BatchPlan
from imclass.images.preprocess import SMALL_IMAGE_PIXELS

_BLOCK = 256  # pixels a program: two a thread, which all fit in its registers

_AS_THEY_ARE = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def execute_batch(
    images: Sequence[torch.Tensor],
    orientations: NDArray[np.int64],
    plan: BatchPlan,
    out: torch.Tensor,
    rows: NDArray[np.int64],
    *,
    fill_value: int,
    scaled_decode: bool = True,
    normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
) -> list[torch.Tensor]:
    """Carry out the plan of n images, on the current stream.

    Args:
        images: (C, H, W) uint8 each, on the device of `out`, as stored, with any strides.
        orientations: (n,) EXIF orientation 1..8 of each.
        plan: what is done to them; none of them needs the steps one by one.
        out: (N, H, W, C) uint8, bfloat16, float16 or float32, contiguous, written.
        rows: (n,) the row of `out` for each image.
        fill_value: level 0..255 of everything outside an image.
        scaled_decode: as in `preprocess`: images that shrink by 2, 4 or 8 are averaged first.
        normalisation: mean and standard deviation of each channel, in levels; `out` gets (level - mean) / std.

    Returns:
        What the kernel reads besides the images. It and the images may be let go only when the kernel is done,
        where memory is written by other streams.
    """
    from imclass.images.gpu import kernel

    assert out.is_contiguous()
    _, height, width, channels = out.shape
    if not images:
        return []
    numbers = _to_device(_numbers(images, orientations, plan, rows, scaled_decode=scaled_decode), out.device)
    places = np.concatenate([plan.matrix.reshape(-1, 6), plan.limits], axis=1).astype(np.float32)
    positions = _to_device(places, out.device)
    mean, std = _AS_THEY_ARE if normalisation is None else normalisation
    mean, std = (*mean, 0.0, 0.0)[:3], (*std, 1.0, 1.0)[:3]
    grid = (len(images), -(-height * width // _BLOCK))
    kernel.warp[grid](
        numbers, positions, out, width, height, float(fill_value), *mean, *std, CHANNELS=channels, BLOCK=_BLOCK
    )
    return [numbers, positions]


def _numbers(
    images: Sequence[torch.Tensor],
    orientations: NDArray[np.int64],
    plan: BatchPlan,
    rows: NDArray[np.int64],
    *,
    scaled_decode: bool,
) -> NDArray[np.int64]:
    """(n, kernel.COLUMNS): everything that the kernel reads of each image as a whole number."""
    from imclass.images.gpu import kernel

    numbers = np.zeros((len(images), kernel.COLUMNS.value), np.int64)
    columns = [
        (kernel.STORED_WIDTH, [image.shape[2] for image in images]),
        (kernel.STORED_HEIGHT, [image.shape[1] for image in images]),
        (kernel.POINTER, [image.data_ptr() for image in images]),
        (kernel.CHANNEL_STRIDE, [image.stride(0) for image in images]),
        (kernel.ROW_STRIDE, [image.stride(1) for image in images]),
        (kernel.PIXEL_STRIDE, [image.stride(2) for image in images]),
        (kernel.DIVISOR, _divisors(plan) if scaled_decode else 1),
        (kernel.IS_TRANSPOSED, orientations >= 5),
        (kernel.IS_FLIPPED_X, np.isin(orientations, (2, 3, 6, 7))),
        (kernel.IS_FLIPPED_Y, np.isin(orientations, (3, 4, 7, 8))),
        (kernel.RESIZED_WIDTH, plan.resized.width),
        (kernel.RESIZED_HEIGHT, plan.resized.height),
        (kernel.LEFT, plan.left),
        (kernel.TOP, plan.top),
        (kernel.IS_SHIFT, plan.is_shift),
        (kernel.ON_GRID, plan.on_grid),
        (kernel.OUTPUT_ROW, rows),
    ]
    for column, values in columns:
        numbers[:, column.value] = values
    numbers[:, kernel.FIRST_X.value : kernel.END_Y.value + 1] = plan.window
    numbers[:, kernel.HUE.value : kernel.LIGHTNESS.value + 1] = plan.offsets
    return numbers


def _divisors(plan: BatchPlan) -> NDArray[np.int64]:
    """(n,) by how much a JPEG decoder would shrink each image: as `decode` and `preprocess` choose it."""
    source, resized = plan.source, plan.resized
    divisors = np.ones(len(source.width), np.int64)
    for divisor in reversed(SCALE_DIVISORS):
        is_enough = -(-source.width // divisor) >= resized.width
        divisors[is_enough & (-(-source.height // divisor) >= resized.height)] = divisor
    is_large = source.width * source.height > SMALL_IMAGE_PIXELS
    return np.where(is_large & resized.differ_from(source), divisors, 1)


def _to_device(table: NDArray[np.int64] | NDArray[np.float32], device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(table)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
