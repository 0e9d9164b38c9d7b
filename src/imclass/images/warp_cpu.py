"""Carries out an `ImagePlan` with OpenCV in the original's order: resize, affine, pad, enlarge, cut, colour, mirror."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imclass.images.plan import Border, ImagePlan, Size
from imclass.images.scratch import Scratch

# OpenCV 3 and 4 place a warped pixel on a grid of 1/32 of a source pixel, reached from 1/1024 steps.
_STEP_BITS = 10
_GRID_BITS = 5
_HALF_GRID = 1 << (_STEP_BITS - _GRID_BITS - 1)
_INT16 = np.iinfo(np.int16)


def execute(
    image: NDArray[np.uint8],
    plan: ImagePlan,
    *,
    interpolation: int = cv2.INTER_LINEAR,
    out: NDArray[np.uint8] | None = None,
    scratch: Scratch | None = None,
) -> NDArray[np.uint8]:
    """Carry out a plan.

    Args:
        image: (H, W, C) uint8 RGB or grey. It may be smaller than `plan.layout.source` (scaled decoding) if a
            resize follows.
        interpolation: OpenCV's number for the resizes. The original's default is bilinear without antialiasing.
        out: (H, W, C) uint8 of the plan's output size, contiguous, that the last step writes to; None: a new array.
        scratch: memory for steps before that one; only together with `out`.

    Returns:
        (H, W, C) uint8 of the plan's output size: `out` where it is given, else an array that may be a view of `image`.
    """
    assert scratch is None or out is not None, "the result would lie in memory that is used again"
    layout = plan.layout
    channels = image.shape[2]
    image = _resize(image, layout.resized, interpolation, scratch)
    if any(layout.border):
        image = _with_border(image, layout.border, layout.fill_value)
    changes_colour = bool(plan.h or plan.s or plan.l)
    image = _cut_from_canvas(image, plan, interpolation, None if changes_colour or plan.mirror else out)
    if changes_colour:
        image = _shift_colour(image, plan, None if plan.mirror else out)
    if plan.mirror:
        image = np.asarray(cv2.flip(image, 1, out), np.uint8)
    return image.reshape(*image.shape[:2], channels) if out is None else out


def _resize(
    image: NDArray[np.uint8], size: Size, interpolation: int, scratch: Scratch | None = None
) -> NDArray[np.uint8]:
    if image.shape[:2] == (size.height, size.width):
        return image
    place = None if scratch is None else scratch.resized.array((size.height, size.width, image.shape[2]))
    return np.asarray(cv2.resize(image, size, place, interpolation=interpolation), np.uint8)


def _with_border(image: NDArray[np.uint8], border: Border, fill_value: int) -> NDArray[np.uint8]:
    bordered = cv2.copyMakeBorder(image, *border, cv2.BORDER_CONSTANT, value=(fill_value,) * 3)
    return np.asarray(bordered, np.uint8)


def _cut_from_canvas(
    image: NDArray[np.uint8], plan: ImagePlan, interpolation: int, out: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    """Affine step, padding and enlargement, and the cut from the result, in `out` if given."""
    layout = plan.layout
    if layout.forward is not None:
        if not layout.pad_size and not layout.enlargements:  # then only the pixels of the cut are computed
            return warp(image, layout.forward, layout.output, (plan.crop_x, plan.crop_y), layout.fill_value, out)
        image = warp(image, layout.forward, layout.warped, (0, 0), layout.fill_value)
    if layout.pad_size:
        image = _with_border(image, Border(*(layout.pad_size,) * 4), layout.fill_value)
    for size in layout.enlargements:
        image = _resize(image, size, interpolation)
    rows = slice(plan.crop_y, plan.crop_y + layout.output.height)
    columns = slice(plan.crop_x, plan.crop_x + layout.output.width)
    cut = image[rows, columns]
    if out is None:
        return cut
    np.copyto(out, cut.reshape(out.shape))
    return out


def warp(
    image: NDArray[np.uint8],
    forward: NDArray[np.float32],
    size: Size,
    origin: tuple[int, int],
    fill_value: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """A window of an affinely transformed image, bilinear.

    `cv2.warpAffine` rounds differently from one OpenCV release to the next, so the source positions are computed here,
    in the fixed-point steps of OpenCV 3 and 4, and only looked up by OpenCV.

    Args:
        image: (H, W, C) or (H, W) uint8.
        forward: (2, 3) from source to output coordinates.
        size: size of the window.
        origin: (x, y) of the window's first pixel in the output.
        fill_value: level outside the source.
        out: array of the result; None: a new one.
    """
    inverse = _inverse(forward.astype(np.float64))
    x = np.arange(origin[0], origin[0] + size.width)
    y = np.arange(origin[1], origin[1] + size.height)
    column, column_fraction = _source_positions(inverse[0], x, y)
    row, row_fraction = _source_positions(inverse[1], x, y)
    positions = np.empty((size.height, size.width, 2), np.int16)
    positions[..., 0], positions[..., 1] = column, row
    fractions = ((row_fraction << _GRID_BITS) | column_fraction).astype(np.uint16)
    warped = cv2.remap(
        image,
        positions,
        fractions,
        cv2.INTER_LINEAR,
        out,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(fill_value,) * 3,
    )
    return np.asarray(warped, np.uint8)


def _inverse(forward: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of an affine matrix, operation by operation as OpenCV does it, so that rounding agrees."""
    factor = 1.0 / (forward[0, 0] * forward[1, 1] - forward[0, 1] * forward[1, 0])
    a, b = forward[1, 1] * factor, -forward[0, 1] * factor
    c, d = -forward[1, 0] * factor, forward[0, 0] * factor
    x, y = forward[0, 2], forward[1, 2]
    return np.array([[a, b, -a * x - b * y], [c, d, -c * x - d * y]])


def _source_positions(
    inverse_row: NDArray[np.float64], x: NDArray[np.int64], y: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Source coordinate of every pixel: whole part and 1/32 parts, each (len(y), len(x)) int32."""
    steps = 1 << _STEP_BITS
    along = np.rint(inverse_row[0] * x * steps).astype(np.int32)
    down = np.rint((inverse_row[1] * y + inverse_row[2]) * steps).astype(np.int32) + np.int32(_HALF_GRID)
    grid = (down[:, np.newaxis] + along) >> (_STEP_BITS - _GRID_BITS)
    whole = grid >> _GRID_BITS
    corners = (down[[0, -1], np.newaxis] + along[[0, -1]]) >> _STEP_BITS
    if corners.min() < _INT16.min or corners.max() > _INT16.max:
        whole = np.clip(whole, _INT16.min, _INT16.max)
    return whole, grid & ((1 << _GRID_BITS) - 1)


def _shift_colour(image: NDArray[np.uint8], plan: ImagePlan, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Add to hue, lightness and saturation, clamped (hue does not wrap around). Of a grey image only lightness."""
    levels = np.arange(256)
    lightness = np.clip(levels + plan.l, 0, 255)
    if image.ndim == 2 or image.shape[2] == 1:
        return np.asarray(cv2.LUT(image, lightness.astype(np.uint8), out), np.uint8)
    hue = np.clip(levels + plan.h, 0, 180)
    saturation = np.clip(levels + plan.s, 0, 255)
    table = np.stack([hue, lightness, saturation], axis=-1).astype(np.uint8)[np.newaxis]
    hls = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HLS), table)
    return np.asarray(cv2.cvtColor(hls, cv2.COLOR_HLS2RGB, out), np.uint8)
