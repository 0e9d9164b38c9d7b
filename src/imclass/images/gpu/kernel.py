"""The kernel that turns the decoded images of a batch into what the network sees.

It gives each output pixel what `warp_cpu` gives it, but takes it from the decoded image in one go:

    output pixel -> 1 or 4 pixels of the resized image -> each from 1 or 4 pixels of the decoded image (bilinear)
                 -> each the mean of divisor x divisor stored pixels (what a scaled JPEG decode does, and antialiasing)

Levels are rounded where the CPU's are: after the mean, the resize, and the affine step. Then the colours are
shifted, in OpenCV's 8 bit HLS.

A program computes BLOCK pixels of one image. Everything that differs between images is read from two tables, one row an
image; `warp` fills them.
"""

import triton
import triton.language as tl

POINTER = tl.constexpr(0)  # address of the decoded image
ROW_STRIDE = tl.constexpr(1)  # bytes from one stored row, pixel or channel to the next
PIXEL_STRIDE = tl.constexpr(2)
CHANNEL_STRIDE = tl.constexpr(3)
STORED_WIDTH = tl.constexpr(4)
STORED_HEIGHT = tl.constexpr(5)
DIVISOR = tl.constexpr(6)  # 1, 2, 4 or 8
IS_TRANSPOSED = tl.constexpr(7)  # EXIF orientation, as three answers
IS_FLIPPED_X = tl.constexpr(8)
IS_FLIPPED_Y = tl.constexpr(9)
RESIZED_WIDTH = tl.constexpr(10)
RESIZED_HEIGHT = tl.constexpr(11)
LEFT = tl.constexpr(12)  # where the resized image lies in its canvas
TOP = tl.constexpr(13)
IS_SHIFT = tl.constexpr(14)
ON_GRID = tl.constexpr(15)
FIRST_X = tl.constexpr(16)  # the part of the output that is not fill
END_X = tl.constexpr(17)
FIRST_Y = tl.constexpr(18)
END_Y = tl.constexpr(19)
HUE = tl.constexpr(20)
SATURATION = tl.constexpr(21)
LIGHTNESS = tl.constexpr(22)
OUTPUT_ROW = tl.constexpr(23)  # place of the image in the batch
COLUMNS = tl.constexpr(24)

POSITIONS = tl.constexpr(10)
_GRID = tl.constexpr(32.0)  # steps a pixel, see warp_cpu


@triton.jit
def warp(
    numbers,
    positions,
    out,
    width,
    height,
    fill,
    mean_0,
    mean_1,
    mean_2,
    std_0,
    std_1,
    std_2,
    CHANNELS: tl.constexpr,  # noqa: N803  (Triton's custom for what is known when compiling)
    BLOCK: tl.constexpr,  # noqa: N803
):
    """Compute a batch.

    Args:
        numbers: (n, COLUMNS) int64, see above.
        positions: (n, POSITIONS) float32: matrix from output to canvas coordinates, then the plan's limits.
        out: (N, height, width, CHANNELS) of any type, written at each image's OUTPUT_ROW.
        fill: level outside the canvas.
        mean_0 .. std_2: levels are written as (level - mean) / std; 0 and 1 for levels as they are.

    Grid: (n, number of BLOCKs that hold height * width pixels).
    """
    numbers += tl.program_id(0) * COLUMNS
    positions += tl.program_id(0) * POSITIONS
    pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    is_pixel = pixel < width * height
    x, y = pixel % width, pixel // width

    column = tl.minimum(tl.maximum(x, tl.load(positions + 6)), tl.load(positions + 7))
    row = tl.minimum(tl.maximum(y, tl.load(positions + 8)), tl.load(positions + 9))
    canvas_x = tl.load(positions) * column + tl.load(positions + 1) * row + tl.load(positions + 2)
    canvas_y = tl.load(positions + 3) * column + tl.load(positions + 4) * row + tl.load(positions + 5)
    on_grid = _number(numbers, ON_GRID) != 0
    canvas_x = tl.where(on_grid, _rounded(canvas_x * _GRID) / _GRID, canvas_x)
    canvas_y = tl.where(on_grid, _rounded(canvas_y * _GRID) / _GRID, canvas_y)
    left, top = tl.floor(canvas_x), tl.floor(canvas_y)
    right_share, lower_share = canvas_x - left, canvas_y - top

    memory, stored, turned, canvas = _memory(numbers), _stored(numbers), _turned(numbers), _canvas(numbers)
    is_shown = (x >= _number(numbers, FIRST_X)) & (x < _number(numbers, END_X))
    is_shown = is_shown & (y >= _number(numbers, FIRST_Y)) & (y < _number(numbers, END_Y))
    red = tl.zeros((BLOCK,), tl.float32)
    green = tl.zeros((BLOCK,), tl.float32)
    blue = tl.zeros((BLOCK,), tl.float32)
    taps = 4 - 3 * _number(numbers, IS_SHIFT)
    for tap in range(taps):
        across, down = tap % 2, tap // 2
        weight = tl.where(across == 1, right_share, 1.0 - right_share)
        weight *= tl.where(down == 1, lower_share, 1.0 - lower_share)
        place_x, place_y = left.to(tl.int32) + across, top.to(tl.int32) + down
        r, g, b = _canvas_levels(memory, stored, turned, canvas, place_x, place_y, fill, is_shown, CHANNELS)
        red += weight * r
        green += weight * g
        blue += weight * b
    red, green, blue = _rounded(red), _rounded(green), _rounded(blue)

    hue = _number(numbers, HUE)
    saturation = _number(numbers, SATURATION)
    lightness = _number(numbers, LIGHTNESS)
    if CHANNELS == 3:
        if (hue != 0) | (saturation != 0) | (lightness != 0):
            red, green, blue = _shifted(red, green, blue, hue, lightness, saturation)
    else:
        red = _limited(red + lightness, 255.0)

    place = out + (tl.load(numbers + OUTPUT_ROW) * width * height + pixel) * CHANNELS
    kind = out.dtype.element_ty
    tl.store(place, tl.div_rn(red - mean_0, std_0).to(kind), mask=is_pixel)
    if CHANNELS == 3:
        tl.store(place + 1, tl.div_rn(green - mean_1, std_1).to(kind), mask=is_pixel)
        tl.store(place + 2, tl.div_rn(blue - mean_2, std_2).to(kind), mask=is_pixel)


@triton.jit
def _number(numbers, column):
    return tl.load(numbers + column).to(tl.int32)


@triton.jit
def _rounded(value):
    return tl.floor(value + 0.5)


@triton.jit
def _limited(value, largest):
    return tl.minimum(tl.maximum(value, 0.0), largest)


@triton.jit
def _within(index, length):
    return tl.minimum(tl.maximum(index, 0), length - 1)


@triton.jit
def _memory(numbers):
    """Where the pixels of the decoded image are, read once because the compiler does not move loads out of loops."""
    return (
        tl.load(numbers + POINTER).to(tl.pointer_type(tl.uint8)),
        tl.load(numbers + ROW_STRIDE),
        tl.load(numbers + PIXEL_STRIDE),
        tl.load(numbers + CHANNEL_STRIDE),
    )


@triton.jit
def _stored(numbers):
    """Size of the decoded image."""
    return _number(numbers, STORED_WIDTH), _number(numbers, STORED_HEIGHT), _number(numbers, DIVISOR)


@triton.jit
def _turned(numbers):
    """How the decoded image is to be shown."""
    return (
        _number(numbers, IS_TRANSPOSED) != 0,
        _number(numbers, IS_FLIPPED_X) != 0,
        _number(numbers, IS_FLIPPED_Y) != 0,
    )


@triton.jit
def _canvas(numbers):
    """Size of the resized image, and where it lies in its canvas."""
    return (
        _number(numbers, RESIZED_WIDTH),
        _number(numbers, RESIZED_HEIGHT),
        _number(numbers, LEFT),
        _number(numbers, TOP),
    )


@triton.jit
def _canvas_levels(memory, stored, turned, canvas, column, row, fill, is_shown, CHANNELS: tl.constexpr):  # noqa: N803
    """Levels at whole places of the canvas: those of the resized image, and fill around it."""
    resized_width, resized_height, left, top = canvas
    column, row = column - left, row - top
    is_image = is_shown & (column >= 0) & (column < resized_width) & (row >= 0) & (row < resized_height)
    column, row = _within(column, resized_width), _within(row, resized_height)
    resized = resized_width, resized_height
    red, green, blue = _resized_levels(memory, stored, turned, column, row, resized, CHANNELS)
    return tl.where(is_image, red, fill), tl.where(is_image, green, fill), tl.where(is_image, blue, fill)


@triton.jit
def _resized_levels(memory, stored, turned, column, row, resized, CHANNELS: tl.constexpr):  # noqa: N803
    """Levels of the resized image, whole numbers: bilinear in the (scaled) decoded image."""
    resized_width, resized_height = resized
    stored_width, stored_height, divisor = stored
    is_transposed, is_flipped_x, is_flipped_y = turned
    scaled_width, scaled_height = tl.cdiv(stored_width, divisor), tl.cdiv(stored_height, divisor)
    shown_width = tl.where(is_transposed, scaled_height, scaled_width)
    shown_height = tl.where(is_transposed, scaled_width, scaled_height)
    # Divided exactly: of equal sizes the ratio must be 1, or places fall just short of their pixel.
    x = (column + 0.5) * tl.div_rn(shown_width.to(tl.float32), resized_width.to(tl.float32)) - 0.5
    y = (row + 0.5) * tl.div_rn(shown_height.to(tl.float32), resized_height.to(tl.float32)) - 0.5
    left, top = tl.floor(x), tl.floor(y)
    right_share, lower_share = x - left, y - top
    is_resized = (shown_width != resized_width) | (shown_height != resized_height)

    red = tl.zeros_like(x)
    green = tl.zeros_like(x)
    blue = tl.zeros_like(x)
    taps = tl.where(is_resized, 4, 1)
    for tap in range(taps):
        across, down = tap % 2, tap // 2
        weight = tl.where(across == 1, right_share, 1.0 - right_share)
        weight *= tl.where(down == 1, lower_share, 1.0 - lower_share)
        shown_x = _within(left.to(tl.int32) + across, shown_width)
        shown_y = _within(top.to(tl.int32) + down, shown_height)
        turned_x = tl.where(is_flipped_x, shown_width - 1 - shown_x, shown_x)
        turned_y = tl.where(is_flipped_y, shown_height - 1 - shown_y, shown_y)
        stored_x = tl.where(is_transposed, turned_y, turned_x)
        stored_y = tl.where(is_transposed, turned_x, turned_y)
        r, g, b = _stored_levels(memory, stored, stored_x, stored_y, CHANNELS)
        red += weight * r
        green += weight * g
        blue += weight * b
    return _rounded(red), _rounded(green), _rounded(blue)


@triton.jit
def _stored_levels(memory, stored, column, row, CHANNELS: tl.constexpr):  # noqa: N803
    """Levels of the decoded image at 1/divisor of its size, whole numbers: means of divisor x divisor pixels."""
    image, row_stride, pixel_stride, channel_stride = memory
    width, height, divisor = stored
    red = tl.zeros(column.shape, tl.float32)
    green = tl.zeros(column.shape, tl.float32)
    blue = tl.zeros(column.shape, tl.float32)
    for step in range(divisor * divisor):
        x = tl.minimum(column * divisor + step % divisor, width - 1)
        y = tl.minimum(row * divisor + step // divisor, height - 1)
        place = image + y * row_stride + x * pixel_stride
        red += tl.load(place).to(tl.float32)
        if CHANNELS == 3:
            green += tl.load(place + channel_stride).to(tl.float32)
            blue += tl.load(place + 2 * channel_stride).to(tl.float32)
    area = (divisor * divisor).to(tl.float32)
    return _rounded(red / area), _rounded(green / area), _rounded(blue / area)


@triton.jit
def _shifted(red, green, blue, hue_offset, lightness_offset, saturation_offset):
    """Levels with offsets added to hue (0..180), lightness and saturation (0..255), each rounded as in OpenCV."""
    largest = tl.maximum(tl.maximum(red, green), blue)
    smallest = tl.minimum(tl.minimum(red, green), blue)
    spread = largest - smallest
    is_grey = spread == 0.0
    safe_spread = tl.where(is_grey, 1.0, spread)
    total = largest + smallest  # 2 * lightness
    from_white = tl.where(total < 255.0, total, 510.0 - total)
    saturation = tl.where(is_grey, 0.0, 255.0 * spread / tl.where(is_grey, 1.0, from_white))
    towards_red = (green - blue) / safe_spread
    towards_green = (blue - red) / safe_spread + 2.0
    towards_blue = (red - green) / safe_spread + 4.0
    sector = tl.where(largest == red, towards_red, tl.where(largest == green, towards_green, towards_blue))
    sector = tl.where(is_grey, 0.0, tl.where(sector < 0.0, sector + 6.0, sector))

    hue = _limited(_rounded(sector * 30.0) + hue_offset, 180.0) / 30.0
    lightness = _limited(_rounded(total * 0.5) + lightness_offset, 255.0) / 255.0
    saturation = _limited(_rounded(saturation) + saturation_offset, 255.0) / 255.0
    high = tl.where(lightness <= 0.5, lightness * (1.0 + saturation), lightness + saturation - lightness * saturation)
    low = 2.0 * lightness - high
    return (
        _rounded(255.0 * _limited(_of_sector(hue + 2.0, low, high), 1.0)),
        _rounded(255.0 * _limited(_of_sector(hue, low, high), 1.0)),
        _rounded(255.0 * _limited(_of_sector(hue + 4.0, low, high), 1.0)),
    )


@triton.jit
def _of_sector(sector, low, high):
    """A channel's level: it rises in sector 0, is high in 1 and 2, falls in 3 and is low in 4 and 5."""
    sector = tl.where(sector >= 6.0, sector - 6.0, sector)
    rising = low + (high - low) * sector
    falling = low + (high - low) * (4.0 - sector)
    upper = tl.where(sector < 3.0, high, falling)
    return tl.where(sector < 1.0, rising, tl.where(sector < 4.0, upper, low))
