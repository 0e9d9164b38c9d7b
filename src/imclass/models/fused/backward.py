"""The way back through the kernels of `forward`, with dz the gradient before the activation.

    gradients    sums of dz and of dz * (x - mean)
    of_gradients the programs' sums -> gradients of weight and bias; dx = a dz + b x + c, three numbers a channel
    of_input     dx

What goes two ways from here gets two gradients back. They are added while they are read, which spares the pass that
automatic differentiation would take to add them before.

Where the shortcut has a norm of its own, both norms go back together: what is read for the one serves the other.

The gradient of a pool is gathered, not scattered: an input pixel looks at the windows that it lies in.
"""

import triton
import triton.language as tl

from imclass.models.fused.parts import add_up, place_of, scale_and_offset, store_sums


@triton.jit
def gradients(
    dy,
    other_dy,
    y,
    x,
    shortcut,
    found,
    found_of_shortcut,
    dz,
    sums,
    sums_of_shortcut,
    rows,
    channels,
    rows_a_program,
    TWO_WAYS: tl.constexpr,  # noqa: N803
    ADDS: tl.constexpr,  # noqa: N803
    NORMS: tl.constexpr,  # noqa: N803
    RELU: tl.constexpr,  # noqa: N803
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """Sums of a program's rows, of what comes back through `activate`.

    Args:
        dy, other_dy, y, x, shortcut: (rows, channels); other_dy is read if TWO_WAYS, y if ADDS but not NORMS, shortcut
            if NORMS.
        dz: (rows, channels), written if ADDS: the gradient of what is added.
        sums: (2, programs, channels) float32, written; sums_of_shortcut too if NORMS.

    Grid: (programs, blocks of channels).
    """
    channel = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    is_channel = channel < channels
    mean = tl.load(found + channel, is_channel, 0.0)[None, :]
    scale, offset = scale_and_offset(found, channel, channels)
    first = tl.program_id(0) * rows_a_program
    end = tl.minimum(first + rows_a_program, rows)
    total = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    products = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    products_of_shortcut = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    for start in range(first, end, BLOCK_ROWS):
        row = start + tl.arange(0, BLOCK_ROWS)
        place, inside = place_of(row, end, channel, channels)
        value = tl.load(x + place, inside, 0.0).to(tl.float32)
        gradient = _of_result(dy, other_dy, place, inside, TWO_WAYS)
        if ADDS:
            if NORMS:
                added = tl.load(shortcut + place, inside, 0.0).to(tl.float32)
                mean_added = tl.load(found_of_shortcut + channel, is_channel, 0.0)[None, :]
                scale_added, offset_added = scale_and_offset(found_of_shortcut, channel, channels)
                result = value * scale[None, :] + offset[None, :]
                result += added * scale_added[None, :] + offset_added[None, :]
            else:
                result = tl.load(y + place, inside, 0.0).to(tl.float32)
            gradient = tl.where(result > 0.0, gradient, 0.0)
            if NORMS:
                products_of_shortcut += gradient * tl.where(inside, added - mean_added, 0.0)
            tl.store(dz + place, gradient.to(dz.dtype.element_ty), inside)
        elif RELU:
            gradient = tl.where(value * scale[None, :] + offset[None, :] > 0.0, gradient, 0.0)
        total += gradient
        products += gradient * tl.where(inside, value - mean, 0.0)
    store_sums(sums, total, products, channel, is_channel, channels)
    if NORMS:
        store_sums(sums_of_shortcut, total, products_of_shortcut, channel, is_channel, channels)


@triton.jit
def of_gradients(
    sums,
    found,
    d_weight,
    d_bias,
    factors,
    programs,
    rows,
    channels,
    BLOCK_PROGRAMS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """Gradients of weight and bias, and what gives the gradient of the input.

    Args:
        d_weight, d_bias: (channels,) float32, written.
        factors: (3, channels) float32, written: a, b, c of dx = a dz + b x + c.

    Grid: (blocks of channels,).
    """
    channel = tl.program_id(0) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    is_channel = channel < channels
    total, products = add_up(sums, programs, channel, is_channel, channels, BLOCK_PROGRAMS, BLOCK_CHANNELS)
    mean = tl.load(found + channel, is_channel, 0.0)
    inverse = tl.load(found + channels + channel, is_channel, 0.0)
    scale = tl.load(found + 2 * channels + channel, is_channel, 0.0)
    of_weight = products * inverse
    tl.store(d_weight + channel, of_weight, is_channel)
    tl.store(d_bias + channel, total, is_channel)
    # dx = scale * (dz - mean(dz) - normalised x * mean(dz * normalised x))
    slope = -scale * inverse * of_weight / rows
    tl.store(factors + channel, scale, is_channel)
    tl.store(factors + channels + channel, slope, is_channel)
    tl.store(factors + 2 * channels + channel, -scale * total / rows - slope * mean, is_channel)


@triton.jit
def of_input(
    dy,
    other_dy,
    x,
    shortcut,
    found,
    factors,
    factors_of_shortcut,
    past,
    dx,
    d_shortcut,
    rows,
    channels,
    TWO_WAYS: tl.constexpr,  # noqa: N803
    RELU: tl.constexpr,  # noqa: N803
    NORMS: tl.constexpr,  # noqa: N803
    PAST: tl.constexpr,  # noqa: N803
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """The gradient of the input.

    Args:
        dy, other_dy: (rows, channels): the gradient of the activation's result, or of what it is given if not RELU;
            other_dy is read if TWO_WAYS.
        x, shortcut: (rows, channels); shortcut is read if NORMS.
        past: (rows, channels), read if PAST: the gradient that comes back to the input past all of this.
        dx, d_shortcut: (rows, channels), written; d_shortcut if NORMS.

    Grid: (blocks of rows, blocks of channels).
    """
    channel = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    place, inside = place_of(row, rows, channel, channels)
    value = tl.load(x + place, inside, 0.0).to(tl.float32)
    gradient = _of_result(dy, other_dy, place, inside, TWO_WAYS)
    if RELU:
        scale, offset = scale_and_offset(found, channel, channels)
        gradient = tl.where(value * scale[None, :] + offset[None, :] > 0.0, gradient, 0.0)
    result = _through_norm(gradient, value, factors, channel, channels)
    if PAST:
        result += tl.load(past + place, inside, 0.0).to(tl.float32)
    tl.store(dx + place, result.to(dx.dtype.element_ty), inside)
    if NORMS:
        added = tl.load(shortcut + place, inside, 0.0).to(tl.float32)
        result = _through_norm(gradient, added, factors_of_shortcut, channel, channels)
        tl.store(d_shortcut + place, result.to(d_shortcut.dtype.element_ty), inside)


@triton.jit
def pool_gradients(
    dy,
    winners,
    x,
    found,
    sums,
    height,
    width,
    pooled_height,
    pooled_width,
    rows,
    channels,
    rows_a_program,
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """`gradients` of what comes back through `pool`; rows are those of x.

    Grid: (programs, blocks of channels).
    """
    channel = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    is_channel = channel < channels
    mean = tl.load(found + channel, is_channel, 0.0)[None, :]
    scale, offset = scale_and_offset(found, channel, channels)
    first = tl.program_id(0) * rows_a_program
    end = tl.minimum(first + rows_a_program, rows)
    total = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    products = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    for start in range(first, end, BLOCK_ROWS):
        row = start + tl.arange(0, BLOCK_ROWS)
        place, inside = place_of(row, end, channel, channels)
        value = tl.load(x + place, inside, 0.0).to(tl.float32)
        gradient = _gathered(dy, winners, row, end, channel, channels, height, width, pooled_height, pooled_width)
        gradient = tl.where(value * scale[None, :] + offset[None, :] > 0.0, gradient, 0.0)
        total += gradient
        products += gradient * tl.where(inside, value - mean, 0.0)
    store_sums(sums, total, products, channel, is_channel, channels)


@triton.jit
def pool_input(
    dy,
    winners,
    x,
    found,
    factors,
    dx,
    height,
    width,
    pooled_height,
    pooled_width,
    rows,
    channels,
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """`of_input` of what comes back through `pool`; rows are those of x.

    Grid: (blocks of rows, blocks of channels).
    """
    channel = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    place, inside = place_of(row, rows, channel, channels)
    value = tl.load(x + place, inside, 0.0).to(tl.float32)
    gradient = _gathered(dy, winners, row, rows, channel, channels, height, width, pooled_height, pooled_width)
    scale, offset = scale_and_offset(found, channel, channels)
    gradient = tl.where(value * scale[None, :] + offset[None, :] > 0.0, gradient, 0.0)
    result = _through_norm(gradient, value, factors, channel, channels)
    tl.store(dx + place, result.to(dx.dtype.element_ty), inside)


@triton.jit
def _of_result(dy, other_dy, place, inside, TWO_WAYS: tl.constexpr):  # noqa: N803
    gradient = tl.load(dy + place, inside, 0.0).to(tl.float32)
    if TWO_WAYS:
        gradient += tl.load(other_dy + place, inside, 0.0).to(tl.float32)
    return gradient


@triton.jit
def _through_norm(gradient, value, factors, channel, channels):
    is_channel = channel < channels
    a = tl.load(factors + channel, is_channel, 0.0)[None, :]
    b = tl.load(factors + channels + channel, is_channel, 0.0)[None, :]
    c = tl.load(factors + 2 * channels + channel, is_channel, 0.0)[None, :]
    return a * gradient + b * value + c


@triton.jit
def _gathered(dy, winners, row, end, channel, channels, height, width, pooled_height, pooled_width):
    """What comes back to input pixels from the windows that they have won: up to two by two."""
    column_of, row_of = row % width, (row // width) % height
    image = (row // (width * height)).to(tl.int64) * pooled_height
    gradient = tl.zeros((row.shape[0], channel.shape[0]), tl.float32)
    for window in tl.static_range(4):
        pooled_row, pooled_column = (row_of + 1) // 2 - window // 2, (column_of + 1) // 2 - window % 2
        tap_row, tap_column = row_of + 1 - 2 * pooled_row, column_of + 1 - 2 * pooled_column
        is_window = (row < end) & (pooled_row >= 0) & (pooled_row < pooled_height) & (tap_row < 3)
        is_window = is_window & (pooled_column >= 0) & (pooled_column < pooled_width) & (tap_column < 3)
        place = ((image + pooled_row) * pooled_width + pooled_column)[:, None] * channels + channel[None, :]
        inside = is_window[:, None] & (channel < channels)[None, :]
        winner = tl.load(winners + place, inside, 255).to(tl.int32)
        value = tl.load(dy + place, inside, 0.0).to(tl.float32)
        gradient += tl.where(winner == (tap_row * 3 + tap_column)[:, None], value, 0.0)
    return gradient
