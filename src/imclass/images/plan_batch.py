"""`plan_image` for the images of a whole batch at once, as arrays.

At 10,000 images a second one image has 100 microseconds, and a plan made image by image with its matrix takes half of
them. Here the formulas of `plan` are worked through once a batch. Both give the same numbers; a test holds them to it.

The geometry is told in two halves, because they are sampled differently at their edges:

    output  --matrix-->  canvas: the resized image and its border     bilinear; outside there is fill
    canvas  --resize-->  source                                       bilinear; edge pixels are repeated
"""

import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imclass.images import draws
from imclass.images.header import MAX_PIXELS
from imclass.images.plan import LONGEST_WARPED_SIDE, Size, fixed_canvas
from imclass.images.settings import Augmentation, Preprocessing

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


class Sizes(NamedTuple):
    """Widths and heights of the images of a batch in pixels, each (n,) int64."""

    width: Integers
    height: Integers

    def where(self, chosen: NDArray[np.bool_], other: "Sizes") -> "Sizes":
        """These sizes where `chosen`, else the other."""
        return Sizes(np.where(chosen, self.width, other.width), np.where(chosen, self.height, other.height))

    def differ_from(self, other: "Sizes") -> NDArray[np.bool_]:
        """(n,) which sizes are not the same."""
        return np.asarray((self.width != other.width) | (self.height != other.height))


@dataclass(frozen=True)
class BatchPlan:
    """Everything that is done to the n images of a batch.

    Attributes:
        source: as displayed, before the resize.
        resized: after the resize.
        top, left: (n,) int64, where the resized image lies in its canvas (resize_mode "pad").
        canvas: the resized image and its border.
        matrix: (n, 2, 3) float64 from output to canvas coordinates, pixel centres at whole numbers.
        window: (n, 4) int64, first and end column, first and end row of the output that the canvas reaches; the rest is
            fill. Without it a turned image would show in the border of `pad_size` what was pushed out of its canvas.
        is_shift: (n,) whether the matrix only shifts by whole pixels, or does so and mirrors.
        limits: (n, 4) float64, first and last column, first and last row of the output that are sampled; what lies
            outside repeats them. They are the centres of the edge pixels of an image that is enlarged.
        on_grid: (n,) whether positions in the canvas are rounded to 1/32 pixel.
        offsets: (n, 3) int64, added to hue, saturation and lightness.
        is_enlarged: (n,) whether the source is smaller than the output and was enlarged.
        needs_steps: (n,) whether one matrix is not enough: an image that is turned and then enlarged is smoothed twice,
            and one for which `plan_image` raises ImageError has no matrix at all. Such images are left to `warp_cpu`.
    """

    source: Sizes
    resized: Sizes
    top: Integers
    left: Integers
    canvas: Sizes
    matrix: Floats
    window: Integers
    is_shift: NDArray[np.bool_]
    limits: Floats
    on_grid: NDArray[np.bool_]
    offsets: Integers
    is_enlarged: NDArray[np.bool_]
    needs_steps: NDArray[np.bool_]

    def taken(self, chosen: Integers) -> "BatchPlan":
        """The plan of some of the images."""
        parts: dict[str, Any] = {part.name: getattr(self, part.name) for part in fields(self)}
        for name, part in parts.items():
            parts[name] = Sizes(*(side[chosen] for side in part)) if isinstance(part, Sizes) else part[chosen]
        return BatchPlan(**parts)


def plan_batch(
    rows: NDArray[np.float32] | None,
    widths: Integers,
    heights: Integers,
    preprocessing: Preprocessing,
    augmentation: Augmentation | None = None,
) -> BatchPlan:
    """Plan the images of a batch.

    Args:
        rows: (n, COLUMNS) uniforms from `draws`; None with no augmentation.
        widths: (n,) width of each source in pixels, as displayed.
        heights: (n,) height of each.
        augmentation: None for validation and prediction.
    """
    source = Sizes(np.asarray(widths, np.int64), np.asarray(heights, np.int64))
    augmentation = augmentation if rows is not None and augmentation is not None else Augmentation()
    uniforms = np.full((len(source.width), draws.COLUMNS), 0.5) if rows is None else rows.astype(np.float64)
    output = Size(preprocessing.width, preprocessing.height)

    resized, canvas = _resize(source, preprocessing)
    top, left = (canvas.height - resized.height) // 2, (canvas.width - resized.width) // 2
    forward, warped = _affine(uniforms, canvas, augmentation) if augmentation.distorts else (None, canvas)
    padded = Sizes(warped.width + 2 * augmentation.pad_size, warped.height + 2 * augmentation.pad_size)
    steps = [padded, *_enlargements(padded, output)]
    grows = steps[-1].differ_from(padded)
    is_smaller = (source.width < output.width) | (source.height < output.height)
    resize_grows = (resized.width > source.width) | (resized.height > source.height)
    to_warped = _to_warped(uniforms, steps, output, augmentation)
    return BatchPlan(
        source=source,
        resized=resized,
        top=top,
        left=left,
        canvas=canvas,
        matrix=to_warped if forward is None else _undo(forward, to_warped),
        window=_window(to_warped, warped),
        is_shift=~grows & (not augmentation.distorts),
        limits=_limits(to_warped, padded, augmentation.pad_size),
        on_grid=np.full(len(grows), augmentation.distorts),
        offsets=_colour_offsets(uniforms, augmentation),
        is_enlarged=is_smaller & (resize_grows | grows),
        needs_steps=(grows & augmentation.distorts) | _are_huge([canvas, *steps], is_warped=augmentation.distorts),
    )


def _resize(source: Sizes, preprocessing: Preprocessing) -> tuple[Sizes, Sizes]:
    """Size of the resized image and of its canvas."""
    width, height = source
    if preprocessing.resize_mode == "crop":
        length = preprocessing.resize
        if length is None:
            return source, source
        tall = Sizes(np.full_like(width, length), length * height // width)
        resized = tall.where(height > width, Sizes(length * width // height, np.full_like(height, length)))
        return resized, resized
    size = fixed_canvas(preprocessing)
    canvas = Sizes(np.full_like(width, size.width), np.full_like(height, size.height))
    if preprocessing.resize_mode == "stretch":
        return canvas, canvas
    wide = Sizes(canvas.width, np.maximum(1, height * size.width // width))
    tall = Sizes(np.maximum(1, width * size.height // height), canvas.height)
    return wide.where(width * size.height >= height * size.width, tall), canvas


def _affine(uniforms: Floats, canvas: Sizes, augmentation: Augmentation) -> tuple[Singles, Sizes]:
    """`plan.affine` of the drawn values: forward matrices (n, 2, 3) and the size of the result, all in float32."""
    single = np.float32
    largest = augmentation.max_rotate_angle
    angle = (uniforms[:, draws.ANGLE] * (2 * largest + 1)).astype(np.int64) - largest
    scales = augmentation.max_random_scale - augmentation.min_random_scale
    shear = ((2 * uniforms[:, draws.SHEAR] - 1) * augmentation.max_shear_ratio).astype(single)
    scale = (uniforms[:, draws.SCALE] * scales + augmentation.min_random_scale).astype(single)
    ratio = (1 + (2 * uniforms[:, draws.RATIO] - 1) * augmentation.max_aspect_ratio).astype(single)
    radians = angle / 180.0 * math.pi
    cosine, sine = np.cos(radians).astype(single), np.sin(radians).astype(single)
    horizontal = single(2) * scale / (single(1) + ratio)
    vertical = ratio * horizontal
    width, height = canvas.width.astype(single), canvas.height.astype(single)
    new_width, new_height = scale * width, scale * height
    forward = np.zeros((len(shear), 2, 3), single)
    forward[:, 0, 0] = horizontal * cosine - shear * sine * vertical
    forward[:, 0, 1] = horizontal * sine + shear * cosine * vertical
    forward[:, 1, 0] = -sine * vertical
    forward[:, 1, 1] = cosine * vertical
    forward[:, 0, 2] = (new_width - (forward[:, 0, 0] * width + forward[:, 0, 1] * height)) / single(2)
    forward[:, 1, 2] = (new_height - (forward[:, 1, 0] * width + forward[:, 1, 1] * height)) / single(2)
    warped = [np.maximum(1, side.astype(np.int64)) for side in (new_width, new_height)]
    return forward, Sizes(*warped)


def _enlargements(size: Sizes, output: Size) -> list[Sizes]:
    """Height first, then width, as in `plan`. Where a step does nothing the size stays."""
    single = np.float32
    factor = single(output.height) / size.height.astype(single)
    higher = Sizes(
        np.maximum(1, (factor * size.width.astype(single)).astype(np.int64)), np.full_like(size.height, output.height)
    ).where(size.height < output.height, size)
    factor = single(output.width) / higher.width.astype(single)
    wider = Sizes(
        np.full_like(size.width, output.width), (factor * higher.height.astype(single)).astype(np.int64)
    ).where(higher.width < output.width, higher)
    return [higher, wider]


def _to_warped(uniforms: Floats, steps: list[Sizes], output: Size, augmentation: Augmentation) -> Floats:
    """(n, 2, 3) from output to warped coordinates: mirror, place of the cut, enlargements, border."""
    free_x, free_y = steps[-1].width - output.width, steps[-1].height - output.height
    if augmentation.random_crop:
        shift_x = (uniforms[:, draws.CROP_X] * (free_x + 1)).astype(np.int64)
        shift_y = (uniforms[:, draws.CROP_Y] * (free_y + 1)).astype(np.int64)
    else:
        shift_x, shift_y = free_x // 2, free_y // 2
    is_mirrored = augmentation.random_mirror & (uniforms[:, draws.MIRROR] < 0.5)
    scale_x = np.where(is_mirrored, -1.0, 1.0)
    scale_y = np.ones_like(scale_x)
    move_x = (shift_x + np.where(is_mirrored, output.width - 1.0, 0.0)).astype(np.float64)
    move_y = shift_y.astype(np.float64)
    for after, before in zip(reversed(steps[1:]), reversed(steps[:-1]), strict=True):
        step_x, step_y = before.width / after.width, before.height / after.height
        scale_x, move_x = scale_x * step_x, move_x * step_x + step_x / 2 - 0.5
        scale_y, move_y = scale_y * step_y, move_y * step_y + step_y / 2 - 0.5
    matrix = np.zeros((len(scale_x), 2, 3))
    matrix[:, 0, 0], matrix[:, 0, 2] = scale_x, move_x - augmentation.pad_size
    matrix[:, 1, 1], matrix[:, 1, 2] = scale_y, move_y - augmentation.pad_size
    return matrix


def _undo(forward: Singles, to_warped: Floats) -> Floats:
    """(n, 2, 3) from output to canvas coordinates. The determinant of `forward` is its two scales' product, never 0."""
    inverse = np.linalg.inv(forward[:, :, :2].astype(np.float64))
    moved = to_warped.copy()
    moved[:, :, 2] -= forward[:, :, 2]
    return np.asarray(inverse @ moved)


def _window(to_warped: Floats, warped: Sizes) -> Integers:
    """(n, 4), the output columns and rows whose centres lie in the warped canvas."""
    bounds = []
    for axis, length in enumerate(warped):
        scale, move = to_warped[:, axis, axis], to_warped[:, axis, 2]
        edges = np.sort([(-0.5 - move) / scale, (length - 0.5 - move) / scale], axis=0)
        bounds += list(np.ceil(edges).astype(np.int64))
    return np.stack(bounds, axis=1)


def _limits(to_warped: Floats, padded: Sizes, pad_size: int) -> Floats:
    """(n, 4), where in the output the centres of the padded canvas's edge pixels come to lie."""
    bounds = []
    for axis, length in enumerate(padded):
        scale, move = to_warped[:, axis, axis], to_warped[:, axis, 2] + pad_size
        bounds += list(np.sort([-move / scale, (length - 1 - move) / scale], axis=0))
    return np.stack(bounds, axis=1)


def _colour_offsets(uniforms: Floats, augmentation: Augmentation) -> Integers:
    """(n, 3) of hue, saturation and lightness: the trapezoid of `plan`."""
    columns = (
        (draws.HUE, draws.HUE_2, augmentation.random_h),
        (draws.SATURATION, draws.SATURATION_2, augmentation.random_s),
        (draws.LIGHTNESS, draws.LIGHTNESS_2, augmentation.random_l),
    )
    offsets = [
        (2 * (uniforms[:, first] + 4 * uniforms[:, second]) / 5 * largest - largest).astype(np.int64)
        for first, second, largest in columns
    ]
    return np.stack(offsets, axis=1)


def _are_huge(sizes: list[Sizes], *, is_warped: bool) -> NDArray[np.bool_]:
    pixels = np.max([size.width * size.height for size in sizes], axis=0)
    longest = np.max([np.maximum(*size) for size in sizes], axis=0)
    return np.asarray((pixels > MAX_PIXELS) | (is_warped & (longest > LONGEST_WARPED_SIDE)))
