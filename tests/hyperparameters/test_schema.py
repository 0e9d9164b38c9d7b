"""The schema against the tables of the original's documentation, written out again here."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from imclass.hyperparameters import FIELDS, Hyperparameters, TunableRange, parse

UNIT = (0.0, 1.0)
SWITCH = ("0", "1")
POSITIVE = (1.0, None)

# name: (kind, choices or (minimum, maximum), default)
ORIGINALS: dict[str, tuple[str, tuple[object, ...], object]] = {
    "num_classes": ("integer", POSITIVE, None),
    "num_training_samples": ("integer", POSITIVE, None),
    "num_layers": ("integer", (None, None), 152),
    "image_shape": ("image_shape", (None, None), (3, 224, 224)),
    "use_pretrained_model": ("boolean", (None, None), False),
    "resize": ("integer", POSITIVE, None),
    "precision_dtype": ("choice", ("float32", "float16", "bfloat16", "auto"), "float32"),
    "multi_label": ("boolean", (None, None), False),
    "use_weighted_loss": ("boolean", (None, None), False),
    "augmentation_type": ("choice", ("none", "crop", "crop_color", "crop_color_transform"), "none"),
    "optimizer": ("choice", ("sgd", "adam", "rmsprop", "nag", "muon"), "sgd"),
    "learning_rate": ("number", UNIT, 0.1),
    "momentum": ("number", UNIT, 0.9),
    "weight_decay": ("number", UNIT, 0.0001),
    "beta_1": ("number", UNIT, 0.9),
    "beta_2": ("number", UNIT, 0.999),
    "eps": ("number", UNIT, 1e-8),
    "gamma": ("number", UNIT, 0.9),
    "lr_scheduler_factor": ("number", UNIT, 0.1),
    "lr_scheduler_step": ("integers", (None, None), ()),
    "mini_batch_size": ("integer", POSITIVE, 32),
    "epochs": ("integer", POSITIVE, 30),
    "kv_store": ("choice", ("none", "dist_sync", "dist_async"), "none"),
    "top_k": ("integer", POSITIVE, None),
    "checkpoint_frequency": ("integer", POSITIVE, None),
    "early_stopping": ("boolean", (None, None), False),
    "early_stopping_min_epochs": ("integer", POSITIVE, 10),
    "early_stopping_patience": ("integer", POSITIVE, 5),
    "early_stopping_tolerance": ("number", UNIT, 0.0),
    "_tuning_objective_metric": ("text", (None, None), None),
}

# name: (kind, choices or (minimum, maximum), default, whether the maximum itself is refused)
EXTENSIONS: dict[str, tuple[str, tuple[object, ...], object, bool]] = {
    "recipe": ("choice", ("sagemaker", "modern"), "sagemaker", False),
    "seed": ("integer", (0.0, None), 0, False),
    "shuffle_buffer": ("integer", (0.0, None), 2048, False),
    "bad_image_limit": ("number", UNIT, 0.01, False),
    "artifact_format": ("choice", ("imclass", "mxnet", "both"), "imclass", False),
    "network": ("choice", ("auto", "resnet_v2", "resnet_v1"), "auto", False),
    "resize_mode": ("choice", ("crop", "pad", "stretch"), "crop", False),
    "pad_size": ("integer", (0.0, None), 0, False),
    "compile": ("choice", ("auto", "on", "off"), "auto", False),
    "decoder": ("choice", ("auto", "cpu", "hardware"), "auto", False),
    "freeze_backbone_epochs": ("integer", (0.0, None), 0, False),
    "lr_schedule": ("choice", ("step", "cosine"), "step", False),
    "warmup_epochs": ("number", (0.0, None), 0.0, False),
    "gradient_clip_norm": ("number", (0.0, None), 0.0, False),
    "ema_decay": ("number", UNIT, 0.0, True),
    "sync_batch_norm": ("boolean", (None, None), False, False),
    "local_update_steps": ("integer", POSITIVE, 8, False),
    "label_smoothing": ("number", UNIT, 0.0, True),
    "mixup_alpha": ("number", (0.0, None), 0.0, False),
    "cutmix_alpha": ("number", (0.0, None), 0.0, False),
    "class_weights": ("choice", ("none", "balanced"), "none", False),
}

TUNABLE = {
    "beta_1": TunableRange("continuous", 1e-6, 0.999, scaling="ReverseLogarithmic"),
    "beta_2": TunableRange("continuous", 1e-6, 0.999, scaling="ReverseLogarithmic"),
    "eps": TunableRange("continuous", 1e-8, 1.0, scaling="Logarithmic"),
    "gamma": TunableRange("continuous", 1e-8, 0.999, scaling="ReverseLogarithmic"),
    "learning_rate": TunableRange("continuous", 1e-6, 0.5, scaling="Logarithmic"),
    "mini_batch_size": TunableRange("integer", 8, 512, scaling="Logarithmic"),
    "momentum": TunableRange("continuous", 0.0, 0.999, scaling="ReverseLogarithmic"),
    "optimizer": TunableRange("categorical", choices=("sgd", "adam", "rmsprop", "nag")),
    "weight_decay": TunableRange("continuous", 0.0, 0.999, scaling="Logarithmic"),
}


@pytest.mark.parametrize("name", ORIGINALS)
def test_original(name: str) -> None:
    kind, allowed, default = ORIGINALS[name]
    facts = FIELDS[name]
    assert facts.original
    assert (facts.kind, facts.default) == (kind, default)
    assert type(facts.default) is type(default)
    assert (facts.choices or (facts.minimum, facts.maximum)) == allowed
    assert (facts.exclusive_minimum, facts.exclusive_maximum) == (False, False)


@pytest.mark.parametrize("name", EXTENSIONS)
def test_extension(name: str) -> None:
    kind, allowed, default, open_end = EXTENSIONS[name]
    facts = FIELDS[name]
    assert not facts.original
    assert (facts.kind, facts.default) == (kind, default)
    assert (facts.choices or (facts.minimum, facts.maximum)) == allowed
    assert (facts.exclusive_minimum, facts.exclusive_maximum) == (False, open_end)


def test_nothing_else_is_declared() -> None:
    assert set(FIELDS) == {*ORIGINALS, *EXTENSIONS}
    assert {facts.attribute for facts in FIELDS.values()} == set(Hyperparameters.model_fields)


def test_tuning_ranges() -> None:
    assert {name: facts.tunable for name, facts in FIELDS.items() if facts.tunable} == TUNABLE


def test_every_field_is_explained_in_a_sentence() -> None:
    for facts in FIELDS.values():
        assert facts.help.endswith("."), facts.name
        assert 15 < len(facts.help) < 200, facts.name


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        (facts.name, facts.minimum, facts.maximum)
        for facts in FIELDS.values()
        if facts.kind in ("integer", "number") and facts.minimum is not None
    ],
)
def test_bounds_are_enforced_by_the_model(name: str, lowest: float, highest: float | None) -> None:
    facts = FIELDS[name]
    number = int if facts.kind == "integer" else float
    inside = [lowest] if highest is None or facts.exclusive_maximum else [lowest, highest]
    outside = [lowest - 1] if highest is None else [lowest - 1, highest + 1]
    outside += [highest] if highest is not None and facts.exclusive_maximum else []
    for value in inside:
        assert getattr(Hyperparameters.model_validate({name: number(value)}), name) == value
    for value in outside:
        with pytest.raises(ValidationError, match=name):
            Hyperparameters.model_validate({name: number(value)})


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": "3"},
        {"epochs": True},
        {"epochs": 2**63},
        {"learning_rate": float("nan")},
        {"gradient_clip_norm": float("inf")},
        {"image_shape": (2, 32, 32)},
        {"image_shape": (3, 0, 32)},
        {"image_shape": (3, 32)},
        {"lr_scheduler_step": (0,)},
        {"num_layers": 19},
        {"optimizer": "SGD"},
        {"unknown": 1},
    ],
)
def test_the_model_itself_is_strict(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Hyperparameters.model_validate(values)


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Hyperparameters().epochs = 3


def test_json_round_trip() -> None:
    hyperparameters = parse({"image_shape": "1,28,28", "num_layers": 20, "lr_scheduler_step": "10,20"})
    assert Hyperparameters.model_validate_json(hyperparameters.model_dump_json()) == hyperparameters


def test_json_schema_can_be_written_out() -> None:
    properties = json.loads(json.dumps(Hyperparameters.model_json_schema()))["properties"]
    assert properties["learning_rate"]["tunable"]["maximum"] == 0.5
    assert properties["seed"]["original"] is False


def test_importing_loads_no_heavy_library() -> None:
    heavy = "{'torch', 'cv2', 'numpy', 'typer', 'rich'}"
    code = f"import sys, imclass.hyperparameters; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
