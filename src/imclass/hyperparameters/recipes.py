"""Recipes: named sets of defaults. A given value wins over a recipe, a recipe over the original's default.

`modern` has three sets, chosen by the task: fine-tuning of trained weights, small images, large images.
`ADJUSTMENTS` lists every case in which a recipe's value gives way to something that the user gave.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from imclass.hyperparameters.coerce import Value
from imclass.hyperparameters.depths import SMALL_DEPTHS

LARGEST_SMALL_HEIGHT = 64
ADAPTIVE_LEARNING_RATE = 0.001
LARGEST_WARMUP_SHARE = 0.2

MODERN_SMALL: Mapping[str, Value] = MappingProxyType(
    {
        "optimizer": "nag",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "lr_schedule": "cosine",
        "warmup_epochs": 5.0,
        "label_smoothing": 0.1,
        "mixup_alpha": 0.2,
        "cutmix_alpha": 1.0,
        "ema_decay": 0.999,
        "augmentation_type": "crop",
        "pad_size": 4,
        "mini_batch_size": 128,
        "epochs": 150,
    }
)

MODERN_LARGE: Mapping[str, Value] = MappingProxyType(
    {
        "optimizer": "nag",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "lr_schedule": "cosine",
        "warmup_epochs": 5.0,
        "label_smoothing": 0.1,
        "ema_decay": 0.999,
        "augmentation_type": "crop_color_transform",
        "mini_batch_size": 64,
        "epochs": 90,
    }
)

MODERN_FINE_TUNE: Mapping[str, Value] = MappingProxyType(
    {
        "optimizer": "nag",
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "lr_schedule": "cosine",
        "warmup_epochs": 1.0,
        "label_smoothing": 0.1,
        "ema_decay": 0.99,
        "augmentation_type": "crop_color",
        "mini_batch_size": 32,
        "epochs": 12,
    }
)

RECIPES: Mapping[str, Mapping[str, Mapping[str, Value]]] = MappingProxyType(
    {
        "sagemaker": {},
        "modern": {"small": MODERN_SMALL, "large": MODERN_LARGE, "fine_tune": MODERN_FINE_TUNE},
    }
)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One case in which a recipe's value gives way.

    Attributes:
        name: the hyperparameter of the recipe.
        when: the case and what happens, in words, for the documentation.
        adjusted: from (the recipe's values, the given values) to the new value; None leaves it out.
    """

    name: str
    when: str
    adjusted: Callable[[Mapping[str, Value], Mapping[str, Value]], Value | None]


def _number(value: Value) -> float:
    assert isinstance(value, (int, float)), f"{value!r} is no number"
    return value


def _is_small(given: Mapping[str, Value]) -> bool:
    """Whether the network is one of the small family, whose few weights blurred targets held back when measured."""
    return given.get("num_layers") in SMALL_DEPTHS


def _shortened_warmup(recipe: Mapping[str, Value], given: Mapping[str, Value]) -> Value:
    epochs = _number(given.get("epochs", recipe["epochs"]))
    return min(_number(recipe["warmup_epochs"]), LARGEST_WARMUP_SHARE * epochs)


def _batch_within_data(recipe: Mapping[str, Value], given: Mapping[str, Value]) -> Value:
    batch_size = recipe["mini_batch_size"]
    return min(batch_size, given.get("num_training_samples", batch_size), key=_number)


ADJUSTMENTS: tuple[Adjustment, ...] = (
    Adjustment(
        "label_smoothing",
        "left out with multi_label, where targets are independent, and in small networks (num_layers 20 to 110), "
        "which blurred targets held back when measured",
        lambda recipe, given: None if given.get("multi_label") or _is_small(given) else recipe["label_smoothing"],
    ),
    Adjustment(
        "mixup_alpha",
        "left out in small networks",
        lambda recipe, given: None if _is_small(given) else recipe["mixup_alpha"],
    ),
    Adjustment(
        "cutmix_alpha",
        "left out in small networks",
        lambda recipe, given: None if _is_small(given) else recipe["cutmix_alpha"],
    ),
    Adjustment(
        "lr_schedule",
        "left out when lr_scheduler_step is given, which asks for steps",
        lambda recipe, given: None if given.get("lr_scheduler_step") else recipe["lr_schedule"],
    ),
    Adjustment(
        "pad_size",
        "left out with augmentation_type=none, where no random crop uses the border",
        lambda recipe, given: None if given.get("augmentation_type") == "none" else recipe["pad_size"],
    ),
    Adjustment(
        "learning_rate",
        f"{ADAPTIVE_LEARNING_RATE:g} when optimizer=adam or rmsprop is given, whose steps do not shrink "
        "with the gradient",
        lambda recipe, given: (
            ADAPTIVE_LEARNING_RATE if given.get("optimizer") in ("adam", "rmsprop") else recipe["learning_rate"]
        ),
    ),
    Adjustment("warmup_epochs", "at most a fifth of epochs", _shortened_warmup),
    Adjustment("mini_batch_size", "at most num_training_samples", _batch_within_data),
)


def recipe_defaults(
    recipe: str, image_height: int, fine_tuning: bool, given: Mapping[str, Value] = MappingProxyType({})
) -> Mapping[str, Value]:
    """Give the defaults of a recipe for this task.

    Args:
        recipe: a key of `RECIPES`.
        image_height: height of image_shape in pixels.
        fine_tuning: whether training starts from trained weights.
        given: the values that the user gave; `ADJUSTMENTS` says where a recipe gives way to them.

    Returns:
        Values by name. Names that are also in `given` are still there: the caller lets the given value win.
    """
    if not RECIPES[recipe]:
        return {}
    values = RECIPES[recipe][_task(image_height, fine_tuning)]
    adjusted = dict(values)
    for adjustment in ADJUSTMENTS:
        if adjustment.name in values:
            value = adjustment.adjusted(values, given)
            if value is None:
                del adjusted[adjustment.name]
            else:
                adjusted[adjustment.name] = value
    return adjusted


def _task(image_height: int, fine_tuning: bool) -> str:
    if fine_tuning:
        return "fine_tune"
    return "small" if image_height <= LARGEST_SMALL_HEIGHT else "large"
