from collections.abc import Mapping

import pytest

from imclass.hyperparameters import (
    FIELDS,
    MODERN_FINE_TUNE,
    MODERN_LARGE,
    MODERN_SMALL,
    RECIPES,
    parse,
    recipe_defaults,
    warnings_of,
)
from imclass.hyperparameters.recipes import ADJUSTMENTS

MODERN = [MODERN_SMALL, MODERN_LARGE, MODERN_FINE_TUNE]
# What decides about a recipe, or has no default to replace, cannot come from one.
NEVER_IN_A_RECIPE = {"recipe", "image_shape", "use_pretrained_model", "multi_label", "num_training_samples"}


def test_every_recipe_of_the_schema_exists() -> None:
    assert tuple(RECIPES) == FIELDS["recipe"].choices


def test_sagemaker_changes_nothing() -> None:
    assert recipe_defaults("sagemaker", 224, False) == {}
    assert parse({"recipe": "sagemaker"}) == parse({})


@pytest.mark.parametrize(
    ("height", "fine_tuning", "expected"),
    [
        (28, False, MODERN_SMALL),
        (64, False, MODERN_SMALL),
        (65, False, MODERN_LARGE),
        (224, False, MODERN_LARGE),
        (224, True, MODERN_FINE_TUNE),
        (28, True, MODERN_FINE_TUNE),
    ],
)
def test_which_set(height: int, fine_tuning: bool, expected: Mapping[str, object]) -> None:
    assert recipe_defaults("modern", height, fine_tuning) == expected


@pytest.mark.parametrize("values", MODERN)
def test_sets_hold_good_values_only(values: Mapping[str, object]) -> None:
    hyperparameters = parse(values)
    assert {name: getattr(hyperparameters, name) for name in values} == dict(values)
    assert warnings_of(hyperparameters) == []
    assert NEVER_IN_A_RECIPE.isdisjoint(values)
    assert not any(FIELDS[name].optional for name in values)


@pytest.mark.parametrize(
    ("raw", "fine_tuning", "expected"),
    [
        ({"image_shape": "3,32,32"}, False, MODERN_SMALL),
        ({}, False, MODERN_LARGE),
        ({"use_pretrained_model": "1"}, False, MODERN_FINE_TUNE),
        ({}, True, MODERN_FINE_TUNE),
    ],
)
def test_parse_picks_the_set(raw: dict[str, object], fine_tuning: bool, expected: Mapping[str, object]) -> None:
    hyperparameters = parse({**raw, "recipe": "modern"}, fine_tuning=fine_tuning)
    assert {name: getattr(hyperparameters, name) for name in expected} == dict(expected)
    assert warnings_of(hyperparameters) == []


@pytest.mark.parametrize("name", MODERN_SMALL)
def test_a_given_value_wins(name: str) -> None:
    default = FIELDS[name].default
    assert getattr(parse({"recipe": "modern", "image_shape": "3,32,32", name: default}), name) == default


ADJUSTED: list[tuple[dict[str, object], str, object]] = [
    ({"multi_label": 1}, "label_smoothing", 0.0),
    ({"multi_label": 0}, "label_smoothing", 0.1),
    ({"num_layers": 20}, "label_smoothing", 0.0),
    ({"num_layers": 20}, "mixup_alpha", 0.0),
    ({"num_layers": 18}, "mixup_alpha", 0.2),
    ({"num_layers": 110}, "cutmix_alpha", 0.0),
    ({"num_layers": 18}, "cutmix_alpha", 1.0),
    ({"lr_scheduler_step": "10,20"}, "lr_schedule", "step"),
    ({"lr_scheduler_step": ""}, "lr_schedule", "cosine"),
    ({"lr_scheduler_step": "10,20", "lr_schedule": "cosine"}, "lr_schedule", "cosine"),
    ({"augmentation_type": "none"}, "pad_size", 0),
    ({"augmentation_type": "crop_color"}, "pad_size", 4),
    ({"optimizer": "adam"}, "learning_rate", 0.001),
    ({"optimizer": "rmsprop"}, "learning_rate", 0.001),
    ({"optimizer": "sgd"}, "learning_rate", 0.1),
    ({"optimizer": "adam", "learning_rate": 0.01}, "learning_rate", 0.01),
    ({"epochs": 1}, "warmup_epochs", 0.2),
    ({"epochs": 10}, "warmup_epochs", 2.0),
    ({"epochs": 300}, "warmup_epochs", 5.0),
    ({"num_training_samples": 100}, "mini_batch_size", 100),
    ({"num_training_samples": 1000}, "mini_batch_size", 128),
]


@pytest.mark.parametrize(("raw", "name", "expected"), ADJUSTED)
def test_adjustment(raw: dict[str, object], name: str, expected: object) -> None:
    value = getattr(parse({"recipe": "modern", "image_shape": "3,32,32", **raw}), name)
    assert value == pytest.approx(expected) if isinstance(expected, float) else value == expected


def test_every_adjustment_is_tested_and_has_something_to_adjust() -> None:
    assert {adjustment.name for adjustment in ADJUSTMENTS} == {name for _, name, _ in ADJUSTED}
    assert all(any(adjustment.name in values for values in MODERN) for adjustment in ADJUSTMENTS)


@pytest.mark.parametrize("shape", ["3,32,32", "3,224,224"])
@pytest.mark.parametrize("multi_label", [0, 1])
@pytest.mark.parametrize("epochs", [1, 2, 500])
@pytest.mark.parametrize("optimizer", FIELDS["optimizer"].choices)
@pytest.mark.parametrize("augmentation_type", FIELDS["augmentation_type"].choices)
def test_a_recipe_never_contradicts_what_is_given(
    shape: str, multi_label: int, epochs: int, optimizer: str, augmentation_type: str
) -> None:
    given = {
        "image_shape": shape,
        "multi_label": multi_label,
        "epochs": epochs,
        "optimizer": optimizer,
        "augmentation_type": augmentation_type,
        "num_training_samples": 3,
        "num_layers": 18,
    }
    for fine_tuning in (False, True):
        hyperparameters = parse({**given, "recipe": "modern"}, fine_tuning=fine_tuning)
        assert warnings_of(hyperparameters) == []
