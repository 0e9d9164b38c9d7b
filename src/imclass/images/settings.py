"""The settings of the pixel pipeline: what every image goes through, and what training adds at random."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

ResizeMode = Literal["crop", "pad", "stretch"]


@dataclass(frozen=True)
class Preprocessing:
    """The geometry of validation and prediction. It travels with a model, because answers depend on it.

    Attributes:
        image_shape: (channels, height, width) of the network's input; channels is 3 (RGB) or 1 (grey).
        resize: length in pixels of the shorter side before the crop; None = no resize.
        resize_mode: "crop" keeps the aspect ratio and lets the crop cut what is left over, "pad" fits the whole
            image into the canvas and fills the rest, "stretch" gives the image the canvas's aspect ratio.
        fill_value: level 0..255 of everything outside the image, on all channels.

    Raises:
        ValueError: a value outside its range.
    """

    image_shape: tuple[int, int, int]
    resize: int | None = None
    resize_mode: ResizeMode = "crop"
    fill_value: int = 127

    def __post_init__(self) -> None:
        if len(self.image_shape) != 3 or self.channels not in (1, 3) or min(self.image_shape) < 1:
            raise ValueError(f"image_shape must be (3 or 1, height, width), not {self.image_shape}")
        if self.resize is not None and self.resize < 1:
            raise ValueError(f"resize must be at least 1, not {self.resize}")
        if self.resize_mode not in get_args(ResizeMode):
            raise ValueError(f"resize_mode must be one of {get_args(ResizeMode)}, not {self.resize_mode!r}")
        if not 0 <= self.fill_value <= 255:
            raise ValueError(f"fill_value must be in 0..255, not {self.fill_value}")

    @property
    def channels(self) -> int:
        return self.image_shape[0]

    @property
    def height(self) -> int:
        return self.image_shape[1]

    @property
    def width(self) -> int:
        return self.image_shape[2]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images. The names are those of MXNet's default image augmenter.

    Attributes:
        random_crop: cut at a random place instead of the centre.
        random_mirror: mirror left to right with probability 1/2.
        random_h: largest change of hue, in OpenCV's units of 2 degrees (0..180).
        random_s: largest change of saturation, in levels (0..255).
        random_l: largest change of lightness, in levels (0..255).
        max_rotate_angle: rotation by a whole number of degrees in [-max, max].
        max_shear_ratio: shear in [-max, max].
        max_aspect_ratio: aspect ratio in [1 - max, 1 + max].
        min_random_scale: lower end of the random scale.
        max_random_scale: upper end of the random scale.
        pad_size: width in pixels of a border of fill_value on every side before the crop.

    Raises:
        ValueError: a value outside its range.
    """

    random_crop: bool = False
    random_mirror: bool = False
    random_h: int = 0
    random_s: int = 0
    random_l: int = 0
    max_rotate_angle: int = 0
    max_shear_ratio: float = 0.0
    max_aspect_ratio: float = 0.0
    min_random_scale: float = 1.0
    max_random_scale: float = 1.0
    pad_size: int = 0

    def __post_init__(self) -> None:
        offsets = (self.random_h, self.random_s, self.random_l, self.max_rotate_angle, self.pad_size)
        if min(offsets) < 0 or self.max_shear_ratio < 0:
            raise ValueError(f"augmentation settings must not be negative: {self}")
        if not 0 <= self.max_aspect_ratio < 1:
            raise ValueError(f"max_aspect_ratio must be in [0, 1), not {self.max_aspect_ratio}")
        if not 0 < self.min_random_scale <= self.max_random_scale:
            raise ValueError(f"random scale must be a range above 0: {self}")

    @property
    def changes_colour(self) -> bool:
        return self.random_h > 0 or self.random_s > 0 or self.random_l > 0

    @property
    def distorts(self) -> bool:
        """Whether the affine step is done."""
        has_scale = (self.min_random_scale, self.max_random_scale) != (1.0, 1.0)
        return has_scale or self.max_rotate_angle > 0 or self.max_shear_ratio > 0 or self.max_aspect_ratio > 0


_CROP = Augmentation(random_crop=True, random_mirror=True)
_CROP_COLOR = Augmentation(random_crop=True, random_mirror=True, random_h=36, random_s=50, random_l=50)
_CROP_COLOR_TRANSFORM = Augmentation(
    random_crop=True,
    random_mirror=True,
    random_h=36,
    random_s=50,
    random_l=50,
    max_rotate_angle=10,
    max_shear_ratio=0.1,
    max_aspect_ratio=0.25,
)

AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType(
    {
        "none": Augmentation(),
        "crop": _CROP,
        "crop_color": _CROP_COLOR,
        "crop_color_transform": _CROP_COLOR_TRANSFORM,
    }
)
"""The settings behind each value of the hyperparameter `augmentation_type`."""


def with_pad_size(augmentation: Augmentation, pad_size: int) -> Augmentation:
    """The same augmentation with a border of `pad_size` pixels before the crop."""
    return replace(augmentation, pad_size=pad_size)
