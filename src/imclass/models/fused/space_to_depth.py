"""Images normalised and packed: blocks of 2x2 pixels become one pixel of four times the channels.

A packed pixel has 16 numbers, as tensor cores take multiples of 8. Of a block with the pixels a b over c d, each of
C = 1 or 3 channels, they are

    0        C        2C       3C       4C      16
    | a      | b      | c      | d      | zeros |
"""

import triton
import triton.language as tl


@triton.jit
def pack(
    images,
    mean,
    std,
    packed,
    height,
    width,
    packed_height,
    packed_width,
    rows,
    CHANNELS: tl.constexpr,  # noqa: N803
    PACKED_CHANNELS: tl.constexpr,  # noqa: N803
    BLOCKS_BEFORE: tl.constexpr,  # noqa: N803
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
):
    """(images - mean) / std in float32, packed. What lies outside of an image is zero.

    Args:
        images: (N, height, width, CHANNELS), numbers of any type.
        mean, std: (CHANNELS,) float32.
        packed: (N, packed_height, packed_width, PACKED_CHANNELS), `rows` packed pixels, written. The first block of an
            image is BLOCKS_BEFORE down and to the right.

    Grid: (blocks of rows,).
    """
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    block_column = row % packed_width - BLOCKS_BEFORE
    block_row = (row // packed_width) % packed_height - BLOCKS_BEFORE
    image = (row // (packed_width * packed_height)).to(tl.int64)

    place_in_block = tl.arange(0, PACKED_CHANNELS)
    pixel, channel = place_in_block // CHANNELS, place_in_block % CHANNELS
    pixel_row = 2 * block_row[:, None] + (pixel // 2)[None, :]
    pixel_column = 2 * block_column[:, None] + (pixel % 2)[None, :]

    inside = (row < rows)[:, None] & (pixel < 4)[None, :]
    inside = inside & (pixel_row >= 0) & (pixel_row < height) & (pixel_column >= 0) & (pixel_column < width)
    place = ((image[:, None] * height + pixel_row) * width + pixel_column) * CHANNELS + channel[None, :]
    value = tl.load(images + place, inside, 0).to(tl.float32)
    value = tl.div_rn(value - tl.load(mean + channel)[None, :], tl.load(std + channel)[None, :])  # as PyTorch rounds
    value = tl.where(inside, value, 0.0)

    packed_place = row.to(tl.int64)[:, None] * PACKED_CHANNELS + place_in_block[None, :]
    tl.store(packed + packed_place, value.to(packed.dtype.element_ty), (row < rows)[:, None])
