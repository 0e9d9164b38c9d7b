"""Batch norm of a training batch, with the addition, activation and pooling around it, in a few passes over memory.

All arrays lie in memory as (rows, channels), which is what channels_last makes of (N, C, H, W): a row is a pixel. With
`shift` any value near the mean (here: the first row), so that squares do not cancel:

    statistics   sums of (x - shift) and of its squares; each program adds up some rows of some channels
    of_batch     the programs' sums -> mean, 1 / standard deviation, scale and offset; running statistics move on
    activate     y = relu(x * scale + offset [+ shortcut])
    pool         the same, then the largest of 3x3 every second pixel, from 1 before the image on, and which it was

and backward, with dz the gradient before the activation:

    gradients    sums of dz and of dz * (x - mean)
    of_gradients the programs' sums -> gradients of weight and bias; dx = a dz + b x + c, three numbers a channel
    of_input     dx

The gradient of a pool is gathered, not scattered: an input pixel looks at the windows that it lies in.

Ioffe and Szegedy, "Batch Normalization" (2015), gives the formulas. Sums are taken in float32, in an order that does
not change from run to run.
"""

import triton
import triton.language as tl


@triton.jit
def statistics(
    x,
    sums,
    rows,
    channels,
    rows_a_program,
    BLOCK_ROWS: tl.constexpr,  # noqa: N803  (Triton's custom for what is known when compiling)
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """Sums of a program's rows.

    Args:
        x: (rows, channels).
        sums: (2, programs, channels) float32, written.

    Grid: (programs, blocks of channels).
    """
    channel = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    is_channel = channel < channels
    shift = tl.load(x + channel, is_channel, 0.0).to(tl.float32)[None, :]
    first = tl.program_id(0) * rows_a_program
    end = tl.minimum(first + rows_a_program, rows)
    total = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    squares = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    for start in range(first, end, BLOCK_ROWS):
        row = start + tl.arange(0, BLOCK_ROWS)
        place, inside = _place(row, end, channel, channels)
        value = tl.load(x + place, inside, 0.0).to(tl.float32)
        difference = tl.where(inside, value - shift, 0.0)
        total += difference
        squares += difference * difference
    _store_sums(sums, total, squares, channel, is_channel, channels)


@triton.jit
def of_batch(
    x,
    sums,
    weight,
    bias,
    running_mean,
    running_var,
    batches,
    found,
    programs,
    rows,
    channels,
    eps,
    momentum,
    BLOCK_PROGRAMS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """What normalises the batch.

    Args:
        x: as in `statistics`.
        running_mean, running_var: (channels,) float32, changed.
        batches: one int64, counted up.
        found: (4, channels) float32, written: mean, 1 / standard deviation, scale, offset.

    Grid: (blocks of channels,).
    """
    channel = tl.program_id(0) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    is_channel = channel < channels
    total, squares = _add_up(sums, programs, channel, is_channel, channels, BLOCK_PROGRAMS, BLOCK_CHANNELS)
    shifted = total / rows
    variance = tl.maximum(squares / rows - shifted * shifted, 0.0)
    variance = tl.where(shifted == shifted, variance, shifted)  # NaN stays NaN
    mean = shifted + tl.load(x + channel, is_channel, 0.0).to(tl.float32)
    inverse = 1.0 / tl.sqrt(variance + eps)
    scale = inverse * tl.load(weight + channel, is_channel, 0.0)
    tl.store(found + channel, mean, is_channel)
    tl.store(found + channels + channel, inverse, is_channel)
    tl.store(found + 2 * channels + channel, scale, is_channel)
    tl.store(found + 3 * channels + channel, tl.load(bias + channel, is_channel, 0.0) - mean * scale, is_channel)

    unbiased = variance * (rows / (rows - 1.0))
    old_mean = tl.load(running_mean + channel, is_channel, 0.0)
    old_var = tl.load(running_var + channel, is_channel, 0.0)
    tl.store(running_mean + channel, old_mean + momentum * (mean - old_mean), is_channel)
    tl.store(running_var + channel, old_var + momentum * (unbiased - old_var), is_channel)
    if tl.program_id(0) == 0:
        tl.store(batches, tl.load(batches) + 1)


@triton.jit
def activate(
    x,
    shortcut,
    found,
    y,
    rows,
    channels,
    ADDS: tl.constexpr,  # noqa: N803
    RELU: tl.constexpr,  # noqa: N803
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """Normalise, add, activate.

    Args:
        x, shortcut, y: (rows, channels); y is written, shortcut is read if ADDS.
        found: as `of_batch` wrote it.

    Grid: (blocks of rows, blocks of channels).
    """
    channel = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    scale, offset = _scale_and_offset(found, channel, channels)
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    place, inside = _place(row, rows, channel, channels)
    value = tl.load(x + place, inside, 0.0).to(tl.float32) * scale[None, :] + offset[None, :]
    if ADDS:
        value += tl.load(shortcut + place, inside, 0.0).to(tl.float32)
    if RELU:
        value = tl.where(value < 0.0, 0.0, value)  # so that NaN stays NaN
    tl.store(y + place, value.to(y.dtype.element_ty), inside)


@triton.jit
def pool(
    x,
    found,
    y,
    winners,
    height,
    width,
    pooled_height,
    pooled_width,
    rows,
    channels,
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """Normalise, activate, pool.

    Args:
        x: (N * height * width, channels).
        y: (rows, channels) with rows = N * pooled_height * pooled_width, written.
        winners: (rows, channels) uint8, written: 0..8, which pixel of the window was the largest, row by row.

    Grid: (blocks of rows, blocks of channels).
    """
    channel = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    is_channel = channel < channels
    scale, offset = _scale_and_offset(found, channel, channels)
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    column_of, row_of = row % pooled_width, (row // pooled_width) % pooled_height
    image = (row // (pooled_width * pooled_height)).to(tl.int64) * height
    best = tl.full((BLOCK_ROWS, BLOCK_CHANNELS), float("-inf"), tl.float32)
    winner = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.int32)
    for tap in tl.static_range(9):
        pixel_row, pixel_column = 2 * row_of - 1 + tap // 3, 2 * column_of - 1 + tap % 3
        is_pixel = (row < rows) & (pixel_row >= 0) & (pixel_row < height)
        is_pixel = is_pixel & (pixel_column >= 0) & (pixel_column < width)
        place = ((image + pixel_row) * width + pixel_column)[:, None] * channels + channel[None, :]
        inside = is_pixel[:, None] & is_channel[None, :]
        value = tl.load(x + place, inside, 0.0).to(tl.float32) * scale[None, :] + offset[None, :]
        is_larger = inside & ((value > best) | (value != value))
        best = tl.where(is_larger, value, best)
        winner = tl.where(is_larger, tap, winner)
    best = tl.where(best < 0.0, 0.0, best)
    place, inside = _place(row, rows, channel, channels)
    tl.store(y + place, best.to(y.dtype.element_ty), inside)
    tl.store(winners + place, winner.to(tl.uint8), inside)


@triton.jit
def gradients(
    dy,
    y,
    x,
    found,
    dz,
    sums,
    rows,
    channels,
    rows_a_program,
    ADDS: tl.constexpr,  # noqa: N803
    RELU: tl.constexpr,  # noqa: N803
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """Sums of a program's rows, of what comes back through `activate`.

    Args:
        dy, y, x: (rows, channels); y is read if ADDS.
        dz: (rows, channels), written if ADDS: the gradient of the shortcut.
        sums: (2, programs, channels) float32, written.

    Grid: (programs, blocks of channels).
    """
    channel = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    is_channel = channel < channels
    mean = tl.load(found + channel, is_channel, 0.0)[None, :]
    scale, offset = _scale_and_offset(found, channel, channels)
    first = tl.program_id(0) * rows_a_program
    end = tl.minimum(first + rows_a_program, rows)
    total = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    products = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    for start in range(first, end, BLOCK_ROWS):
        row = start + tl.arange(0, BLOCK_ROWS)
        place, inside = _place(row, end, channel, channels)
        value = tl.load(x + place, inside, 0.0).to(tl.float32)
        gradient = tl.load(dy + place, inside, 0.0).to(tl.float32)
        if ADDS:
            gradient = tl.where(tl.load(y + place, inside, 0.0).to(tl.float32) > 0.0, gradient, 0.0)
            tl.store(dz + place, gradient.to(dz.dtype.element_ty), inside)
        elif RELU:
            gradient = tl.where(value * scale[None, :] + offset[None, :] > 0.0, gradient, 0.0)
        total += gradient
        products += gradient * tl.where(inside, value - mean, 0.0)
    _store_sums(sums, total, products, channel, is_channel, channels)


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
    total, products = _add_up(sums, programs, channel, is_channel, channels, BLOCK_PROGRAMS, BLOCK_CHANNELS)
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
    x,
    found,
    factors,
    dx,
    rows,
    channels,
    RELU: tl.constexpr,  # noqa: N803
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """The gradient of the input.

    Args:
        dy: (rows, channels): the gradient of the activation's result, or of what it is given if not RELU.
        dx: (rows, channels), written.

    Grid: (blocks of rows, blocks of channels).
    """
    channel = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    place, inside = _place(row, rows, channel, channels)
    value = tl.load(x + place, inside, 0.0).to(tl.float32)
    gradient = tl.load(dy + place, inside, 0.0).to(tl.float32)
    if RELU:
        scale, offset = _scale_and_offset(found, channel, channels)
        gradient = tl.where(value * scale[None, :] + offset[None, :] > 0.0, gradient, 0.0)
    _store_input(dx, gradient, value, factors, place, inside, channel, channels)


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
    scale, offset = _scale_and_offset(found, channel, channels)
    first = tl.program_id(0) * rows_a_program
    end = tl.minimum(first + rows_a_program, rows)
    total = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    products = tl.zeros((BLOCK_ROWS, BLOCK_CHANNELS), tl.float32)
    for start in range(first, end, BLOCK_ROWS):
        row = start + tl.arange(0, BLOCK_ROWS)
        place, inside = _place(row, end, channel, channels)
        value = tl.load(x + place, inside, 0.0).to(tl.float32)
        gradient = _gathered(dy, winners, row, end, channel, channels, height, width, pooled_height, pooled_width)
        gradient = tl.where(value * scale[None, :] + offset[None, :] > 0.0, gradient, 0.0)
        total += gradient
        products += gradient * tl.where(inside, value - mean, 0.0)
    _store_sums(sums, total, products, channel, is_channel, channels)


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
    place, inside = _place(row, rows, channel, channels)
    value = tl.load(x + place, inside, 0.0).to(tl.float32)
    gradient = _gathered(dy, winners, row, rows, channel, channels, height, width, pooled_height, pooled_width)
    scale, offset = _scale_and_offset(found, channel, channels)
    gradient = tl.where(value * scale[None, :] + offset[None, :] > 0.0, gradient, 0.0)
    _store_input(dx, gradient, value, factors, place, inside, channel, channels)


# --------------------------------------------------------------------------------------------------- parts


@triton.jit
def _place(row, end, channel, channels):
    """Where a block of values lies, and which of them exist. Arrays may have more than 2**31 elements."""
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    return place, (row < end)[:, None] & (channel < channels)[None, :]


@triton.jit
def _scale_and_offset(found, channel, channels):
    is_channel = channel < channels
    scale = tl.load(found + 2 * channels + channel, is_channel, 0.0)
    return scale, tl.load(found + 3 * channels + channel, is_channel, 0.0)


@triton.jit
def _store_sums(sums, first, second, channel, is_channel, channels):
    """A program's two sums of each channel."""
    mine = sums + tl.program_id(0) * channels + channel
    tl.store(mine, tl.sum(first, 0), is_channel)
    tl.store(mine + tl.num_programs(0) * channels, tl.sum(second, 0), is_channel)


@triton.jit
def _add_up(
    sums,
    programs,
    channel,
    is_channel,
    channels,
    BLOCK_PROGRAMS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """The two sums of all programs."""
    first = tl.zeros((BLOCK_PROGRAMS, BLOCK_CHANNELS), tl.float32)
    second = tl.zeros((BLOCK_PROGRAMS, BLOCK_CHANNELS), tl.float32)
    for start in range(0, programs, BLOCK_PROGRAMS):
        program = start + tl.arange(0, BLOCK_PROGRAMS)
        place = sums + program[:, None] * channels + channel[None, :]
        inside = (program < programs)[:, None] & is_channel[None, :]
        first += tl.load(place, inside, 0.0)
        second += tl.load(place + programs * channels, inside, 0.0)
    return tl.sum(first, 0), tl.sum(second, 0)


@triton.jit
def _store_input(dx, gradient, value, factors, place, inside, channel, channels):
    is_channel = channel < channels
    a = tl.load(factors + channel, is_channel, 0.0)[None, :]
    b = tl.load(factors + channels + channel, is_channel, 0.0)[None, :]
    c = tl.load(factors + 2 * channels + channel, is_channel, 0.0)[None, :]
    tl.store(dx + place, (a * gradient + b * value + c).to(dx.dtype.element_ty), inside)


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
