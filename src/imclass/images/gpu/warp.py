"""Carries out a `BatchPlan` on the device, in one launch of one kernel."""

import threading
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.images.decode import SCALE_DIVISORS
from imclass.images.plan_batch import BatchPlan
from imclass.images.preprocess import SMALL_IMAGE_PIXELS

_BLOCK = 256  # pixels a program: two a thread, which all fit in its registers

_AS_THEY_ARE = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


_launching = threading.Lock()
"""A first launch compiles, and Triton's interpreter exchanges its own functions meanwhile: that is for one thread."""


class WarpTables:
    """What the kernel reads besides the images of a batch: two tables with one row an image, `kernel` has the columns.

    They lie one behind the other in page-locked memory, go to the device in one copy, and their memory is used again.
    A batch may be begun when the kernel has read the one before.

    Args:
        device: where the kernel runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._words = torch.empty(0, dtype=torch.int64)
        self._words_on_device = self._words
        self._count = -1

    def prepare(
        self, orientations: NDArray[np.int64], plan: BatchPlan, rows: NDArray[np.int64], *, scaled_decode: bool = True
    ) -> None:
        """Note what can be known of n images before they are decoded.

        Args:
            orientations: (n,) EXIF orientation 1..8 of each.
            plan: what is done to them; none of them needs the steps one by one.
            rows: (n,) the row of the result for each image.
            scaled_decode: as in `preprocess`: images that shrink by 2, 4 or 8 are averaged first.
        """
        from imclass.images.gpu import kernel

        self._resize(len(rows))
        columns = [
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
            self._numbers[:, column.value] = values
        self._numbers[:, kernel.FIRST_X.value : kernel.END_Y.value + 1] = plan.window
        self._numbers[:, kernel.HUE.value : kernel.LIGHTNESS.value + 1] = plan.offsets
        self._positions[:, :6] = plan.matrix.reshape(-1, 6)
        self._positions[:, 6:] = plan.limits

    def launch(
        self,
        images: Sequence[torch.Tensor | None],
        out: torch.Tensor,
        *,
        fill_value: int,
        normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        """Carry out the plan, on the current stream. Images and tables must be kept until the kernel is done.

        Args:
            images: the n images, (C, H, W) uint8 each, on the device of `out`, as stored, with any strides; None for
                one that cannot be had, whose row is not written.
            out: (N, H, W, C) uint8, bfloat16, float16 or float32, contiguous, written.
            fill_value: level 0..255 of everything outside an image.
            normalisation: mean and standard deviation of each channel, in levels; `out` gets (level - mean) / std.
        """
        from imclass.images.gpu import kernel

        assert out.is_contiguous()
        assert len(images) == self._count
        _, height, width, channels = out.shape
        places = [place for place, image in enumerate(images) if image is not None]
        if not places:
            return
        if len(places) < len(images):
            self._numbers[: len(places)] = self._numbers[places]
            self._positions[: len(places)] = self._positions[places]
        self._numbers[: len(places), _columns_of_images()] = [_facts(image) for image in images if image is not None]
        mean, std = _AS_THEY_ARE if normalisation is None else normalisation
        mean, std = (*mean, 0.0, 0.0)[:3], (*std, 1.0, 1.0)[:3]
        grid = (len(places), -(-height * width // _BLOCK))
        self._words_on_device.copy_(self._words, non_blocking=True)
        with _launching:
            kernel.warp[grid](
                *self._on_device, out, width, height, float(fill_value), *mean, *std, CHANNELS=channels, BLOCK=_BLOCK
            )

    def _resize(self, count: int) -> None:
        """Make the tables those of `count` images."""
        from imclass.images.gpu import kernel

        if count == self._count:
            return
        of_numbers, of_positions = kernel.COLUMNS.value, kernel.POSITIONS.value
        middle, end = count * of_numbers, count * (of_numbers + of_positions // 2)  # two float32 fill an int64
        is_gpu = self._device.type == "cuda"
        self._words = torch.zeros(end, dtype=torch.int64, pin_memory=is_gpu)
        self._words_on_device = torch.empty_like(self._words, device=self._device) if is_gpu else self._words
        words = self._words.numpy()
        self._numbers = words[:middle].reshape(count, of_numbers)
        self._positions = words[middle:].view(np.float32).reshape(count, of_positions)
        self._on_device = self._words_on_device[:middle], self._words_on_device[middle:].view(torch.float32)
        self._count = count


def _columns_of_images() -> list[int]:
    """The columns of what `_facts` tells, in its order."""
    from imclass.images.gpu import kernel

    columns = (
        kernel.POINTER,
        kernel.CHANNEL_STRIDE,
        kernel.ROW_STRIDE,
        kernel.PIXEL_STRIDE,
        kernel.STORED_HEIGHT,
        kernel.STORED_WIDTH,
    )
    return [column.value for column in columns]


def _facts(image: torch.Tensor) -> tuple[int, ...]:
    """Where an image is, and how its levels lie in memory."""
    return (image.data_ptr(), *image.stride(), *image.shape[1:])


def _divisors(plan: BatchPlan) -> NDArray[np.int64]:
    """(n,) by how much a JPEG decoder would shrink each image: as `decode` and `preprocess` choose it."""
    source, resized = plan.source, plan.resized
    divisors = np.ones(len(source.width), np.int64)
    for divisor in reversed(SCALE_DIVISORS):
        is_enough = -(-source.width // divisor) >= resized.width
        divisors[is_enough & (-(-source.height // divisor) >= resized.height)] = divisor
    is_large = source.width * source.height > SMALL_IMAGE_PIXELS
    return np.where(is_large & resized.differ_from(source), divisors, 1)
