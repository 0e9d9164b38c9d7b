"""What a person did not say is chosen from the data: depth, image size, batch, length of the run."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imclass.data import Source, in_advance
from imclass.errors import DataError, ImageError
from imclass.hyperparameters import Value, recipe_defaults
from imclass.images import dimensions
from imclass.models import PRETRAINED

SMALL_SIDE = 64  # pictures up to this many pixels are learnt at their own size
LOOKED_AT = 256  # images whose sizes are read


@dataclass(frozen=True)
class Facts:
    """What the choices depend on.

    Attributes:
        samples: number of training images.
        width, height: of the commonest size.
        common: share of images that have exactly that size.
        short_side: median of the shorter sides.
        label_width: label columns of a sample.
        on_gpu: whether training runs on a GPU.
    """

    samples: int
    width: int
    height: int
    common: float
    short_side: int
    label_width: int
    on_gpu: bool


def look_at(source: Source, *, on_gpu: bool, seed: int = 0) -> Facts:
    """Read the sizes of up to 256 images of a source, picked by `seed`.

    Raises:
        DataError: not one of them is readable.
    """
    count = min(len(source), LOOKED_AT)
    indices = np.random.Generator(np.random.Philox(seed)).choice(len(source), count, replace=False)
    sizes, reasons = [], []
    with in_advance(source, indices.reshape(-1, 1), lambda one: one) as groups:
        for (index,) in groups:
            try:
                sizes.append(dimensions(source[int(index)].image))
            except ImageError as error:
                reasons.append(str(error))
    if not sizes:
        raise DataError(f"none of {count} images looked at can be read; the first: {reasons[0]}", where=source.name)
    return facts_of(sizes, source, on_gpu=on_gpu)


def facts_of(sizes: Sequence[tuple[int, int]], source: Source, *, on_gpu: bool) -> Facts:
    """The facts of a source, some of whose images have these sizes: (width, height), at least one."""
    (width, height), hits = Counter(sizes).most_common(1)[0]
    return Facts(
        samples=len(source),
        width=width,
        height=height,
        common=hits / len(sizes),
        short_side=int(statistics.median(min(size) for size in sizes)),
        label_width=source.labels.shape[1],
        on_gpu=on_gpu,
    )


def worth_pretraining(facts: Facts, given: Mapping[str, Value]) -> bool:
    """Whether ImageNet weights suit the data: pictures, not thumbnails, in a network that such weights exist for."""
    if given.get("network") == "resnet_v2" or given.get("artifact_format", "imclass") != "imclass":
        return False  # there are no public weights of the original's network
    if given.get("num_layers", 18) not in PRETRAINED:
        return False
    return (_height(given) or facts.short_side) > SMALL_SIDE


def _height(given: Mapping[str, Value | None]) -> int:
    """The height in `image_shape`; 0 when it is not given."""
    shape = given.get("image_shape")
    return int(shape[1]) if isinstance(shape, tuple) else 0


def choose(facts: Facts, given: Mapping[str, Value], *, fine_tuning: bool) -> dict[str, Value]:
    """Values for the hyperparameters that were not given.

    Args:
        facts: of the training set.
        given: typed hyperparameters by name, which are left alone and which the choices respect.
        fine_tuning: training starts from pretrained or earlier weights.

    Returns:
        Typed values by name, disjoint from `given`.
    """
    chosen: dict[str, Value | None] = {}
    height = _height(given)
    if height:
        chosen["resize"] = height * 8 // 7 if height > SMALL_SIDE else None
    else:
        chosen["image_shape"], chosen["resize"] = _size(facts, fine_tuning)
        height = _height(chosen)
    if given.get("artifact_format", "imclass") != "imclass" and given.get("resize_mode") == "stretch":
        chosen["resize"] = None  # endpoints of the original stretch the whole image, with nothing left to cut
    small = height <= SMALL_SIDE
    depth = given.get("num_layers", _depth(small, facts, fine_tuning))
    chosen["num_layers"] = depth
    if facts.label_width > 1:
        chosen["multi_label"] = True
    recipe = recipe_defaults("modern", height, fine_tuning, {**given, "num_layers": depth})
    usual_batch = _number(recipe["mini_batch_size"])
    batch = _number(given.get("mini_batch_size", _batch(int(usual_batch), facts.samples)))
    chosen["mini_batch_size"] = int(batch)
    # A smaller batch takes smaller steps, in proportion (Goyal et al. 2017, arXiv:1706.02677).
    chosen["learning_rate"] = min(1.0, round(_number(recipe["learning_rate"]) * batch / usual_batch, 6))
    epochs = int(_number(given.get("epochs", _epochs(small, facts, fine_tuning))))
    chosen["epochs"] = epochs
    chosen["warmup_epochs"] = min(_number(recipe["warmup_epochs"]), epochs / 5)
    return {name: value for name, value in chosen.items() if name not in given and value is not None}


def _number(value: Value | None) -> float:
    assert isinstance(value, int | float), f"{value!r} is no number"
    return value


def _size(facts: Facts, fine_tuning: bool) -> tuple[tuple[int, int, int], int | None]:
    """image_shape and resize: small pictures as they are, photographs at a size that suits machine and start."""
    if facts.short_side <= SMALL_SIDE:
        if facts.common > 0.9:
            return (3, facts.height, facts.width), None
        side = max(8, facts.short_side // 4 * 4)
        return (3, side, side), side
    side = 224 if fine_tuning or facts.on_gpu else 128
    while side > 32 and side > facts.short_side:
        side -= 32
    return (3, side, side), side * 8 // 7


def _depth(small: bool, facts: Facts, fine_tuning: bool) -> int:
    if small:
        return 18 if facts.on_gpu else 20
    return 50 if facts.on_gpu and (fine_tuning or facts.samples >= 20_000) else 18


def _batch(usual: int, samples: int) -> int:
    """The recipe's batch size, halved until an epoch has at least 8 steps."""
    while usual > 4 and samples // usual < 8:
        usual //= 2
    return max(1, min(usual, samples))


def _epochs(small: bool, facts: Facts, fine_tuning: bool) -> int:
    """As many passes as it takes to see a certain number of images, within limits that fit the start."""
    fewest, most, images = {
        (True, False): (15, 200, 500_000),
        (True, True): (5, 60, 200_000),
        (False, False): (15, 120, 50_000),
        (False, True): (6, 30, 12_000),
    }[small, fine_tuning]
    if facts.on_gpu:
        images *= 20
    return max(fewest, min(most, round(images / facts.samples)))
