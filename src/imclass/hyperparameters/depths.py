"""The depths (`num_layers`) that some residual network can have.

The original offers `LARGE_DEPTHS` for images above 28 pixels and `SMALL_DEPTHS` up to 28. Its small family
follows two rules: depth = 6n + 2 with basic units (below 164), depth = 9n + 2 with bottleneck units (from 164).
imclass builds either family at any height, so that a depth is possible or not whatever the image.
"""

LARGE_DEPTHS = (18, 34, 50, 101, 152, 200)
SMALL_DEPTHS = (20, 32, 44, 56, 110)
DEEPEST_LARGE = 269  # in the original framework's table too, though not in the original's documentation
SHALLOWEST = 8
DEEPEST = 1001
FIRST_SMALL_BOTTLENECK = 164


def is_possible_depth(num_layers: int) -> bool:
    """Tell whether a network of this depth exists in the large or in the small family."""
    if num_layers in (*LARGE_DEPTHS, DEEPEST_LARGE):
        return True
    if not SHALLOWEST <= num_layers <= DEEPEST:
        return False
    layers_per_block_of_stages = 6 if num_layers < FIRST_SMALL_BOTTLENECK else 9
    return (num_layers - 2) % layers_per_block_of_stages == 0


def nearest_depths(num_layers: int) -> list[int]:
    """Give the possible depths just below and just above an impossible one (one depth only at either end)."""
    possible = [depth for depth in range(SHALLOWEST, DEEPEST + 1) if is_possible_depth(depth)]
    below = [depth for depth in possible if depth < num_layers][-1:]
    above = [depth for depth in possible if depth > num_layers][:1]
    return below + above


def check_depth(num_layers: int) -> int:
    """Return `num_layers` as it is, or raise ValueError naming the nearest possible depths."""
    if is_possible_depth(num_layers):
        return num_layers
    raise ValueError(f"nearest possible: {' and '.join(map(str, nearest_depths(num_layers)))}")
