"""What the kernels of both directions have in common."""

import triton
import triton.language as tl


@triton.jit
def place_of(row, end, channel, channels):
    """Where a block of values lies, and which of them exist. Arrays may have more than 2**31 elements."""
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    return place, (row < end)[:, None] & (channel < channels)[None, :]


@triton.jit
def scale_and_offset(found, channel, channels):
    is_channel = channel < channels
    scale = tl.load(found + 2 * channels + channel, is_channel, 0.0)
    return scale, tl.load(found + 3 * channels + channel, is_channel, 0.0)


@triton.jit
def store_sums(sums, first, second, channel, is_channel, channels):
    """A program's two sums of each channel."""
    mine = sums + tl.program_id(0) * channels + channel
    tl.store(mine, tl.sum(first, 0), is_channel)
    tl.store(mine + tl.num_programs(0) * channels, tl.sum(second, 0), is_channel)


@triton.jit
def add_up(
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
