"""What `imclass train` would choose for a data set that has been looked at."""

from pydantic import BaseModel, ConfigDict

from imclass.data import Source
from imclass.training.choices import Facts, choose, worth_pretraining
from imclass.training.losses import balanced_weights

UNEVEN = 3.0
"""The largest class has this many times the images of the smallest before weights are worth while."""


class Suggestion(BaseModel):
    """Values for hyperparameters.

    Attributes:
        resize: None where images are learnt at their own size.
        image_shape: channels, height, width.
        num_layers: depth.
        fine_tuning: whether these are for a start from pretrained weights.
        class_weights: "balanced" if the largest class has three times the images of the smallest, or more; "none" with
            several labels an image, where `use_weighted_loss` does the like.
        class_weight_values: the weight of each class under "balanced", by class number; empty with several labels.
    """

    model_config = ConfigDict(frozen=True)

    resize: int | None
    image_shape: tuple[int, int, int]
    num_layers: int
    fine_tuning: bool
    class_weights: str
    class_weight_values: tuple[float, ...]


def suggest(facts: Facts, source: Source, counts: tuple[int, ...]) -> Suggestion:
    """Choose as `imclass train` does when it is told nothing.

    Args:
        facts: of the readable images.
        counts: images of each class number.
    """
    fine_tuning = worth_pretraining(facts, {})
    chosen = choose(facts, {}, fine_tuning=fine_tuning)
    resize, shape, depth = chosen.get("resize"), chosen["image_shape"], chosen["num_layers"]
    assert isinstance(shape, tuple)
    assert isinstance(depth, int)
    assert resize is None or isinstance(resize, int)
    present = [count for count in counts if count]
    is_single = facts.label_width == 1
    uneven = is_single and len(present) > 1 and max(present) >= UNEVEN * min(present)
    weights = balanced_weights(source.labels, len(counts)) if is_single and sum(counts) == len(source) else ()
    return Suggestion(
        resize=resize,
        image_shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        num_layers=depth,
        fine_tuning=fine_tuning,
        class_weights="balanced" if uneven else "none",
        class_weight_values=tuple(round(float(weight), 6) for weight in weights),
    )
