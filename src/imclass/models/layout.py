"""What a depth and an image height make of a residual network: the original's tables and rules."""

from dataclasses import dataclass

from imclass.errors import UserError

# Units of each stage, by depth: every unit has two convolutions below 50 layers and three from there on.
LARGE_UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    269: (3, 30, 48, 8),
}
FIRST_LARGE_BOTTLENECK = 50
FIRST_SMALL_BOTTLENECK = 164
DEEPEST_SMALL = 1001  # the deepest network of the 2016 paper; a limit keeps a wrong number from building for hours

SMALL_IMAGE_HEIGHT = 28  # up to here a depth that both tables know means the small one
SMALL_STEM_HEIGHT = 32  # up to here the large network keeps the full plane


@dataclass(frozen=True, slots=True)
class Layout:
    """What a depth and an image height make of a network.

    Attributes:
        units: number of units of each stage.
        widths: output channels of the stem and then of each stage.
        bottleneck: units of three convolutions (1x1, 3x3, 1x1) instead of two (3x3, 3x3).
        large_stem: 7x7 convolution and pooling instead of one 3x3 convolution.
    """

    units: tuple[int, ...]
    widths: tuple[int, ...]
    bottleneck: bool
    large_stem: bool


def layout_of(num_layers: int, height: int) -> Layout:
    """The layout that the original's rule gives a depth at an image height in pixels.

    Raises:
        UserError: no network has this depth.
    """
    large, small = _large_layout(num_layers, height), _small_layout(num_layers)
    layout = (small or large) if height <= SMALL_IMAGE_HEIGHT else (large or small)
    if layout is None:
        raise UserError(
            f"num_layers = {num_layers} is not a depth of a residual network",
            fix=f"Use one of {', '.join(map(str, LARGE_UNITS))}; or, for small images, 6n + 2 below "
            f"{FIRST_SMALL_BOTTLENECK} (20, 32, 44, 56, 110) or 9n + 2 from there to {DEEPEST_SMALL} (164).",
        )
    return layout


def _large_layout(num_layers: int, height: int) -> Layout | None:
    units = LARGE_UNITS.get(num_layers)
    if units is None:
        return None
    bottleneck = num_layers >= FIRST_LARGE_BOTTLENECK
    widths = (64, 256, 512, 1024, 2048) if bottleneck else (64, 64, 128, 256, 512)
    return Layout(units, widths, bottleneck, large_stem=height > SMALL_STEM_HEIGHT)


def _small_layout(num_layers: int) -> Layout | None:
    """Three stages of equal length: 6n + 2 layers of basic units, or 9n + 2 of bottleneck units."""
    bottleneck = num_layers >= FIRST_SMALL_BOTTLENECK
    units, rest = divmod(num_layers - 2, 9 if bottleneck else 6)
    if rest or units < 1 or num_layers > DEEPEST_SMALL:
        return None
    widths = (16, 64, 128, 256) if bottleneck else (16, 16, 32, 64)
    return Layout((units,) * 3, widths, bottleneck, large_stem=False)
