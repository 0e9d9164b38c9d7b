"""What happens to one image, as plain numbers: sizes, one matrix, a place to cut, three colour offsets, a mirror.

A plan knows nothing of pixels. `warp_cpu` carries it out step by step as the original does; `ImagePlan.matrix` is
the same geometry as one matrix, for an executor that does it in one go. The formulas are those of MXNet's default
image augmenter; docs/pixels.md tells them in words.
"""

import functools
import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imclass.errors import ImageError
from imclass.images import draws
from imclass.images.header import MAX_PIXELS
from imclass.images.settings import Augmentation, Preprocessing

LONGEST_WARPED_SIDE = 32_766  # OpenCV holds the coordinates of a warp in 16 bits


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


class Border(NamedTuple):
    """Pixels added on each side."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Distortion:
    """The values drawn for the affine step.

    Attributes:
        shear: share of the width by which rows slide.
        angle: whole degrees.
        scale: factor on width and height.
        ratio: above 1 the picture gets narrower and taller, below 1 wider and lower.
    """

    shear: float = 0.0
    angle: int = 0
    scale: float = 1.0
    ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Layout:
    """The sizes that an image goes through, in this order.

    Attributes:
        source: as decoded, EXIF orientation applied.
        resized: after the resize; equals source when there is none.
        border: added so that the image fills its canvas (resize_mode "pad").
        distortion: values of the affine step; None = no such step.
        forward: (2, 3) float32 matrix of the affine step, from its input to its output coordinates.
        warped: canvas after the affine step.
        pad_size: border on every side after the affine step.
        enlargements: sizes of the up to two enlargements of an image that is still smaller than the output.
        final: size from which the output is cut.
        output: size of the result.
        fill_value: level of everything outside the image.
    """

    source: Size
    resized: Size
    border: Border
    distortion: Distortion | None
    forward: NDArray[np.float32] | None = field(compare=False)
    warped: Size
    pad_size: int
    enlargements: tuple[Size, ...]
    final: Size
    output: Size
    fill_value: int

    @property
    def free(self) -> Size:
        """How far the cut can move to the right and down."""
        return Size(self.final.width - self.output.width, self.final.height - self.output.height)

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but padding and cutting."""
        return self.source == self.warped and not self.enlargements and self.forward is None

    @property
    def is_enlarged(self) -> bool:
        """Whether a source that is smaller than the output was enlarged for it."""
        is_smaller = self.source.width < self.output.width or self.source.height < self.output.height
        grows = self.resized.width > self.source.width or self.resized.height > self.source.height
        return is_smaller and (grows or bool(self.enlargements))


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """Everything that is done to one image.

    Attributes:
        layout: the sizes it goes through.
        crop_y: first row of the cut, 0 .. layout.free.height.
        crop_x: first column of the cut, 0 .. layout.free.width.
        h: added to the hue, in units of 2 degrees, clamped to 0..180.
        s: added to the saturation, clamped to 0..255.
        l: added to the lightness, clamped to 0..255.
        mirror: whether left and right are swapped.
    """

    layout: Layout
    crop_y: int
    crop_x: int
    h: int = 0
    s: int = 0
    l: int = 0  # noqa: E741  (the field's name for lightness)
    mirror: bool = False

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(2, 3) matrix from output to source coordinates, pixel centres at whole numbers: source = matrix @ (x, y, 1).

        With it an executor takes every output pixel from the source directly. Where it lands outside the source, the
        output has fill_value.
        """
        layout = self.layout
        steps = [_moved(self.crop_x, self.crop_y)]
        if self.mirror:
            steps.insert(0, np.array([[-1.0, 0.0, layout.output.width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
        padded = Size(layout.warped.width + 2 * layout.pad_size, layout.warped.height + 2 * layout.pad_size)
        sizes = [padded, *layout.enlargements]
        steps += [_resized(after, before) for before, after in reversed(list(pairwise(sizes)))]
        steps.append(_moved(-layout.pad_size, -layout.pad_size))
        if layout.forward is not None:
            steps.append(np.linalg.inv(np.vstack([layout.forward.astype(np.float64), [0.0, 0.0, 1.0]])))
        steps.append(_moved(-layout.border.left, -layout.border.top))
        steps.append(_resized(layout.resized, layout.source))
        whole = np.eye(3)
        for step in steps:
            whole = step @ whole
        return whole[:2]


def plan_image(
    row: NDArray[np.float32] | None,
    width: int,
    height: int,
    preprocessing: Preprocessing,
    augmentation: Augmentation | None = None,
) -> ImagePlan:
    """Plan one image.

    Args:
        row: (COLUMNS,) uniforms from `draws`; None with no augmentation.
        width: width of the source in pixels, as displayed.
        height: height of the source.
        augmentation: None for validation and prediction: centre cut, nothing random.

    Raises:
        ImageError: the image is so long and thin that a step would need more than `MAX_PIXELS` pixels.
    """
    if row is None or augmentation is None:
        layout = lay_out(width, height, preprocessing)
        return ImagePlan(layout, *_centre(layout.free))
    uniforms = row.tolist()
    layout = lay_out(width, height, preprocessing, _distortion(uniforms, augmentation), augmentation.pad_size)
    if augmentation.random_crop:
        crop_y = int(uniforms[draws.CROP_Y] * (layout.free.height + 1))
        crop_x = int(uniforms[draws.CROP_X] * (layout.free.width + 1))
    else:
        crop_y, crop_x = _centre(layout.free)
    return ImagePlan(
        layout,
        crop_y,
        crop_x,
        h=_colour_offset(uniforms[draws.HUE], uniforms[draws.HUE_2], augmentation.random_h),
        s=_colour_offset(uniforms[draws.SATURATION], uniforms[draws.SATURATION_2], augmentation.random_s),
        l=_colour_offset(uniforms[draws.LIGHTNESS], uniforms[draws.LIGHTNESS_2], augmentation.random_l),
        mirror=augmentation.random_mirror and uniforms[draws.MIRROR] < 0.5,
    )


class Cuts(NamedTuple):
    """Cut and mirror of every image of a batch: crop_y, crop_x (n,) int64 and mirror (n,) bool."""

    crop_y: NDArray[np.int64]
    crop_x: NDArray[np.int64]
    mirror: NDArray[np.bool_]


def plan_cuts(
    rows: NDArray[np.float32] | None, samples: int, layout: Layout, augmentation: Augmentation | None
) -> Cuts:
    """`plan_image` for a whole batch of images with the same layout that are only cut and mirrored."""
    crop_y, crop_x = _centre(layout.free)
    cuts = Cuts(np.full(samples, crop_y), np.full(samples, crop_x), np.zeros(samples, np.bool_))
    if rows is None or augmentation is None:
        return cuts
    if augmentation.random_crop:
        free = np.array([layout.free.height + 1, layout.free.width + 1], np.float64)
        places = (rows[:, [draws.CROP_Y, draws.CROP_X]] * free).astype(np.int64)
        cuts = Cuts(places[:, 0], places[:, 1], cuts.mirror)
    if augmentation.random_mirror:
        cuts = cuts._replace(mirror=rows[:, draws.MIRROR] < 0.5)
    return cuts


def lay_out(
    width: int,
    height: int,
    preprocessing: Preprocessing,
    distortion: Distortion | None = None,
    pad_size: int = 0,
) -> Layout:
    """Work out the sizes that an image goes through.

    Raises:
        ImageError: the image is so long and thin that a step would need more than `MAX_PIXELS` pixels.
    """
    if distortion is None:
        return _lay_out_plain(width, height, preprocessing, pad_size)
    return _lay_out(width, height, preprocessing, distortion, pad_size)


def _lay_out(
    width: int, height: int, preprocessing: Preprocessing, distortion: Distortion | None, pad_size: int
) -> Layout:
    source, output = Size(width, height), Size(preprocessing.width, preprocessing.height)
    resized, border = _resize(source, preprocessing)
    canvas = Size(resized.width + border.left + border.right, resized.height + border.top + border.bottom)
    forward, warped = (None, canvas) if distortion is None else affine(distortion, canvas)
    padded = Size(warped.width + 2 * pad_size, warped.height + 2 * pad_size)
    enlargements = _enlargements(padded, output)
    _refuse_huge(source, [canvas, padded, *enlargements], is_warped=forward is not None)
    return Layout(
        source=source,
        resized=resized,
        border=border,
        distortion=distortion,
        forward=forward,
        warped=warped,
        pad_size=pad_size,
        enlargements=enlargements,
        final=enlargements[-1] if enlargements else padded,
        output=output,
        fill_value=preprocessing.fill_value,
    )


@functools.lru_cache(maxsize=1024)
def _lay_out_plain(width: int, height: int, preprocessing: Preprocessing, pad_size: int) -> Layout:
    """Without distortion; most images of a data set have one of a few sizes."""
    return _lay_out(width, height, preprocessing, None, pad_size)


def affine(distortion: Distortion, canvas: Size) -> tuple[NDArray[np.float32], Size]:
    """Forward matrix (2, 3) float32 of the affine step and the size of its output.

    The centre of the image stays the centre; the canvas changes with the scale only. All arithmetic is float32, as
    in MXNet, so that the result agrees to the last bit.
    """
    single = np.float32
    shear, scale, ratio = single(distortion.shear), single(distortion.scale), single(distortion.ratio)
    width, height = single(canvas.width), single(canvas.height)
    radians = distortion.angle / 180.0 * math.pi
    cosine, sine = single(math.cos(radians)), single(math.sin(radians))
    horizontal = single(2) * scale / (single(1) + ratio)
    vertical = ratio * horizontal
    new_width, new_height = scale * width, scale * height
    forward = np.zeros((2, 3), np.float32)
    forward[0, 0] = horizontal * cosine - shear * sine * vertical
    forward[0, 1] = horizontal * sine + shear * cosine * vertical
    forward[1, 0] = -sine * vertical
    forward[1, 1] = cosine * vertical
    forward[0, 2] = (new_width - (forward[0, 0] * width + forward[0, 1] * height)) / single(2)
    forward[1, 2] = (new_height - (forward[1, 0] * width + forward[1, 1] * height)) / single(2)
    return forward, Size(max(1, int(new_width)), max(1, int(new_height)))


def _distortion(uniforms: list[float], augmentation: Augmentation) -> Distortion | None:
    if not augmentation.distorts:
        return None
    largest = augmentation.max_rotate_angle
    scales = augmentation.max_random_scale - augmentation.min_random_scale
    return Distortion(
        shear=(2 * uniforms[draws.SHEAR] - 1) * augmentation.max_shear_ratio,
        angle=int(uniforms[draws.ANGLE] * (2 * largest + 1)) - largest,
        scale=uniforms[draws.SCALE] * scales + augmentation.min_random_scale,
        ratio=1 + (2 * uniforms[draws.RATIO] - 1) * augmentation.max_aspect_ratio,
    )


def _colour_offset(first: float, second: float, largest: int) -> int:
    """A whole number in (-largest, largest), more often near 0 than near the ends (a trapezoid)."""
    return int(2 * (first + 4 * second) / 5 * largest - largest)


def _centre(free: Size) -> tuple[int, int]:
    return free.height // 2, free.width // 2


def _resize(source: Size, preprocessing: Preprocessing) -> tuple[Size, Border]:
    no_border = Border(0, 0, 0, 0)
    if preprocessing.resize_mode == "crop":
        resized = source if preprocessing.resize is None else _with_shorter_side(source, preprocessing.resize)
        return resized, no_border
    canvas = fixed_canvas(preprocessing)
    if preprocessing.resize_mode == "stretch":
        return canvas, no_border
    fitted = _fitted(source, canvas)
    top, left = (canvas.height - fitted.height) // 2, (canvas.width - fitted.width) // 2
    return fitted, Border(top, canvas.height - fitted.height - top, left, canvas.width - fitted.width - left)


def fixed_canvas(preprocessing: Preprocessing) -> Size:
    """Size of every image after the resize and its border, in resize_mode "stretch" and "pad"."""
    canvas = Size(preprocessing.width, preprocessing.height)
    return canvas if preprocessing.resize is None else _with_shorter_side(canvas, preprocessing.resize)


def _with_shorter_side(size: Size, length: int) -> Size:
    if size.height > size.width:
        return Size(length, length * size.height // size.width)
    return Size(length * size.width // size.height, length)


def _fitted(source: Size, canvas: Size) -> Size:
    """The largest size with the source's aspect ratio inside the canvas."""
    if source.width * canvas.height >= source.height * canvas.width:
        return Size(canvas.width, max(1, source.height * canvas.width // source.width))
    return Size(max(1, source.width * canvas.height // source.height), canvas.height)


def _enlargements(size: Size, output: Size) -> tuple[Size, ...]:
    """Height first, then width, each keeping the aspect ratio in float32: two steps, as the original takes them."""
    single = np.float32
    steps: list[Size] = []
    if size.height < output.height:
        factor = single(output.height) / single(size.height)
        size = Size(max(1, int(factor * single(size.width))), output.height)
        steps.append(size)
    if size.width < output.width:
        factor = single(output.width) / single(size.width)
        size = Size(output.width, int(factor * single(size.height)))
        steps.append(size)
    return tuple(steps)


def _refuse_huge(source: Size, sizes: list[Size], *, is_warped: bool) -> None:
    most_pixels = max(size.width * size.height for size in sizes)
    longest = max(max(size) for size in sizes)
    if most_pixels > MAX_PIXELS or (is_warped and longest > LONGEST_WARPED_SIDE):
        raise ImageError(
            f"{source.width}x{source.height} pixels are too long and thin: enlarged to the size that is asked for, "
            f"the longer side would have {longest:,} pixels",
            fix="Cut the image, or use resize_mode stretch or pad.",
        )


def _moved(x: float, y: float) -> NDArray[np.float64]:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _resized(after: Size, before: Size) -> NDArray[np.float64]:
    """Matrix from coordinates after a resize to those before it; edges map to edges."""
    x, y = before.width / after.width, before.height / after.height
    return np.array([[x, 0.0, x / 2 - 0.5], [0.0, y, y / 2 - 0.5], [0.0, 0.0, 1.0]])
