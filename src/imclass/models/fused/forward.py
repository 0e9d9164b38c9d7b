"""Batch norm of a training batch, with the addition, activation and pooling around it, in a few passes over memory.

All arrays lie in memory as (rows, channels), which is what channels_last makes of (N, C, H, W): a row is a pixel. With
`shift` any value near the mean (here: the first row), so that squares do not cancel:

    statistics   sums of (x - shift) and of its squares; each program adds up some rows of some channels
    of_batch     the programs' sums -> mean, 1 / standard deviation, scale and offset; running statistics move on
    activate     y = relu(x * scale + offset [+ shortcut])
    pool         the same, then the largest of 3x3 every second pixel, from 1 before the image on, and which it was

Ioffe and Szegedy, "Batch Normalization" (2015), gives the formulas. Sums are taken in float32, in an order that does
not change from run to run.
"""

import triton
import triton.language as tl

from imclass.models.fused.parts import add_up, place_of, scale_and_offset, store_sums


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
        place, inside = place_of(row, end, channel, channels)
        value = tl.load(x + place, inside, 0.0).to(tl.float32)
        difference = tl.where(inside, value - shift, 0.0)
        total += difference
        squares += difference * difference
    store_sums(sums, total, squares, channel, is_channel, channels)


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
    total, squares = add_up(sums, programs, channel, is_channel, channels, BLOCK_PROGRAMS, BLOCK_CHANNELS)
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
    found_of_shortcut,
    y,
    rows,
    channels,
    ADDS: tl.constexpr,  # noqa: N803
    NORMS: tl.constexpr,  # noqa: N803
    RELU: tl.constexpr,  # noqa: N803
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_CHANNELS: tl.constexpr,  # noqa: N803
):
    """Normalise, add, activate.

    Args:
        x, shortcut, y: (rows, channels); y is written, shortcut is read if ADDS, and normalised if NORMS.
        found, found_of_shortcut: as `of_batch` wrote them.

    Grid: (blocks of rows, blocks of channels).
    """
    channel = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    scale, offset = scale_and_offset(found, channel, channels)
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    place, inside = place_of(row, rows, channel, channels)
    value = tl.load(x + place, inside, 0.0).to(tl.float32) * scale[None, :] + offset[None, :]
    if ADDS:
        added = tl.load(shortcut + place, inside, 0.0).to(tl.float32)
        if NORMS:
            scale, offset = scale_and_offset(found_of_shortcut, channel, channels)
            added = added * scale[None, :] + offset[None, :]
        value += added
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
    scale, offset = scale_and_offset(found, channel, channels)
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
    place, inside = place_of(row, rows, channel, channels)
    tl.store(y + place, best.to(y.dtype.element_ty), inside)
    tl.store(winners + place, winner.to(tl.uint8), inside)
