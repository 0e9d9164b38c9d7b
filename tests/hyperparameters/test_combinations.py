from typing import cast

import pytest

from imclass.hyperparameters import Hyperparameters, combination_problems, warnings_of
from imclass.hyperparameters.combinations import COMBINATIONS, REMARKS, WITHOUT_EFFECT, Rule

# One case for each rule, in the order of the table: (values that break it, the message, the nearest values that do not)
BROKEN: list[tuple[dict[str, object], str, dict[str, object]]] = [
    (
        {"use_weighted_loss": True},
        "use_weighted_loss=1 needs multi_label=1; with one label an image use class_weights=balanced",
        {"use_weighted_loss": True, "multi_label": True},
    ),
    (
        {"class_weights": "balanced", "multi_label": True},
        "class_weights=balanced is for one label an image; with multi_label use use_weighted_loss=1",
        {"class_weights": "balanced"},
    ),
    (
        {"label_smoothing": 0.1, "multi_label": True},
        "label_smoothing=0.1 is for one label an image; with multi_label it must be 0",
        {"label_smoothing": 0.1},
    ),
    (
        {"top_k": 5, "num_classes": 5},
        "top_k=5 must be less than num_classes=5: otherwise every image counts as right",
        {"top_k": 4, "num_classes": 5},
    ),
    (
        {"checkpoint_frequency": 31},
        "checkpoint_frequency=31 must be at most epochs=30",
        {"checkpoint_frequency": 30},
    ),
    (
        {"mini_batch_size": 65, "num_training_samples": 64},
        "mini_batch_size=65 is more than num_training_samples=64: The number of input images must be bigger or "
        "equal to the mini_batch_size.",
        {"mini_batch_size": 64, "num_training_samples": 64},
    ),
    ({"warmup_epochs": 30.0}, "warmup_epochs=30.0 must be less than epochs=30", {"warmup_epochs": 29.5}),
    (
        {"freeze_backbone_epochs": 30},
        "freeze_backbone_epochs=30 must be less than epochs=30",
        {"freeze_backbone_epochs": 29},
    ),
    (
        {"use_pretrained_model": True, "image_shape": (3, 32, 64)},
        "use_pretrained_model=1 needs an image height of at least 33: image_shape=3,32,64 gets another first layer",
        {"use_pretrained_model": True, "image_shape": (3, 33, 16)},
    ),
    (
        {"use_pretrained_model": True, "num_layers": 20},
        "num_layers=20 does not go with use_pretrained_model=1, which needs one of the depths 18, 34, 50, 101, 152, "
        "200",
        {"use_pretrained_model": True, "num_layers": 18},
    ),
    (
        {"use_pretrained_model": True, "network": "resnet_v2"},
        "use_pretrained_model=1 needs network=auto or resnet_v1: there are no public weights of resnet_v2",
        {"use_pretrained_model": True, "network": "resnet_v1"},
    ),
    (
        {"artifact_format": "mxnet", "network": "resnet_v1"},
        "artifact_format=mxnet needs network=resnet_v2: the original has no resnet_v1",
        {"artifact_format": "mxnet", "network": "resnet_v2"},
    ),
    (
        {"artifact_format": "both", "use_pretrained_model": True},
        "artifact_format=both does not go with use_pretrained_model=1: the public weights are of resnet_v1, which the "
        "original has not",
        {"artifact_format": "both"},
    ),
]

REMARKED: list[tuple[dict[str, object], str, dict[str, object]]] = [
    (
        {"lr_scheduler_step": (20, 10)},
        "lr_scheduler_step=20,10 should name each epoch once, in rising order",
        {"lr_scheduler_step": (10, 20)},
    ),
    (
        {"lr_scheduler_step": (10, 30)},
        "lr_scheduler_step=10,30 reaches epochs=30 or more: those drops never come",
        {"lr_scheduler_step": (10, 29)},
    ),
    (
        {"resize": 223},
        "resize=223 is smaller than image_shape=3,224,224: images that are then too small get enlarged",
        {"resize": 224},
    ),
    (
        {"artifact_format": "both"},
        "artifact_format=both: endpoints of the original stretch the whole image to image_shape, which is not what "
        "resize and resize_mode say here; their answers differ where images are not of image_shape already. "
        "resize_mode=stretch without resize trains for them",
        {"artifact_format": "both", "resize_mode": "stretch"},
    ),
    (
        {"early_stopping": True, "early_stopping_min_epochs": 31},
        "early_stopping_min_epochs=31 is more than epochs=30: training never stops early",
        {"early_stopping": True, "early_stopping_min_epochs": 30},
    ),
    (
        {"num_classes": 1},
        "num_classes=1 without multi_label leaves nothing to learn: every answer is right",
        {"num_classes": 1, "multi_label": True},
    ),
]

IDLE: list[tuple[dict[str, object], str, dict[str, object]]] = [
    ({"momentum": 0.5, "optimizer": "adam"}, "momentum=0.5", {"momentum": 0.5, "optimizer": "nag"}),
    ({"beta_1": 0.5}, "beta_1=0.5", {"beta_1": 0.5, "optimizer": "adam"}),
    ({"beta_2": 0.5, "optimizer": "rmsprop"}, "beta_2=0.5", {"beta_2": 0.5, "optimizer": "adam"}),
    ({"eps": 0.5}, "eps=0.5", {"eps": 0.5, "optimizer": "rmsprop"}),
    ({"gamma": 0.5, "optimizer": "adam"}, "gamma=0.5", {"gamma": 0.5, "optimizer": "rmsprop"}),
    (
        {"lr_scheduler_step": (10,), "lr_schedule": "cosine"},
        "lr_scheduler_step=10",
        {"lr_scheduler_step": (10,)},
    ),
    (
        {"lr_scheduler_factor": 0.5},
        "lr_scheduler_factor=0.5",
        {"lr_scheduler_factor": 0.5, "lr_scheduler_step": (10,)},
    ),
    ({"pad_size": 4}, "pad_size=4", {"pad_size": 4, "augmentation_type": "crop"}),
    (
        {"early_stopping_min_epochs": 3},
        "early_stopping_min_epochs=3",
        {"early_stopping_min_epochs": 3, "early_stopping": True},
    ),
    (
        {"early_stopping_patience": 3},
        "early_stopping_patience=3",
        {"early_stopping_patience": 3, "early_stopping": True},
    ),
    (
        {"early_stopping_tolerance": 0.5},
        "early_stopping_tolerance=0.5",
        {"early_stopping_tolerance": 0.5, "early_stopping": True},
    ),
    ({"top_k": 5, "multi_label": True}, "top_k=5", {"top_k": 5}),
    ({"local_update_steps": 4}, "local_update_steps=4", {"local_update_steps": 4, "kv_store": "dist_async"}),
]


def _hyperparameters(values: dict[str, object]) -> Hyperparameters:
    return Hyperparameters.model_validate(values)


def test_defaults_fit_together() -> None:
    assert combination_problems(Hyperparameters()) == []
    assert warnings_of(Hyperparameters()) == []


def test_every_rule_has_its_case() -> None:
    assert (len(BROKEN), len(REMARKED)) == (len(COMBINATIONS), len(REMARKS))
    assert len(IDLE) == sum(len(need.names) for need in WITHOUT_EFFECT)


@pytest.mark.parametrize(("broken", "message", "mended"), BROKEN)
def test_combination(broken: dict[str, object], message: str, mended: dict[str, object]) -> None:
    assert combination_problems(_hyperparameters(broken)) == [message]
    assert combination_problems(_hyperparameters(mended)) == []


@pytest.mark.parametrize(("remarkable", "message", "mended"), REMARKED)
def test_remark(remarkable: dict[str, object], message: str, mended: dict[str, object]) -> None:
    assert warnings_of(_hyperparameters(remarkable)) == [message]
    assert warnings_of(_hyperparameters(mended)) == []


@pytest.mark.parametrize(("idle", "value", "acting"), IDLE)
def test_without_effect(idle: dict[str, object], value: str, acting: dict[str, object]) -> None:
    (warning,) = warnings_of(_hyperparameters(idle))
    assert warning.startswith(f"{value} has no effect without ")
    assert warnings_of(_hyperparameters(acting)) == []


class Watched:
    """Hyperparameters that remember what was looked at."""

    def __init__(self, hyperparameters: Hyperparameters) -> None:
        self.hyperparameters = hyperparameters
        self.looked_at: set[str] = set()

    def __getattr__(self, name: str) -> object:
        self.looked_at.add(name)
        return getattr(self.hyperparameters, name)


@pytest.mark.parametrize("rule", [*COMBINATIONS, *REMARKS])
def test_rules_look_at_the_names_they_say(rule: Rule) -> None:
    looked_at: set[str] = set()
    for values, _, _ in [*BROKEN, *REMARKED]:
        watched = Watched(_hyperparameters(values))
        rule.applies(cast(Hyperparameters, watched))
        looked_at |= watched.looked_at
    assert looked_at == set(rule.names)


def test_values_that_mean_nothing_are_not_judged() -> None:
    hyperparameters = _hyperparameters({"use_weighted_loss": True, "checkpoint_frequency": 31})
    assert combination_problems(hyperparameters, {"epochs"}) == [BROKEN[0][1]]
    assert combination_problems(hyperparameters, {"epochs", "multi_label"}) == []


@pytest.mark.parametrize(
    ("resize_mode", "resize", "warned"),
    [("crop", 120, True), ("crop", 200, False), ("pad", 120, False), ("stretch", 99, True)],
)
def test_resize_below_an_oblong_shape(resize_mode: str, resize: int, warned: bool) -> None:
    values = {"image_shape": (3, 100, 200), "resize": resize, "resize_mode": resize_mode}
    assert bool(warnings_of(_hyperparameters(values))) == warned


def test_what_is_allowed_anywhere() -> None:
    values = {
        "multi_label": True,
        "mixup_alpha": 0.2,
        "cutmix_alpha": 1.0,
        "sync_batch_norm": True,
        "precision_dtype": "float16",
    }
    assert combination_problems(_hyperparameters(values)) == []
    assert warnings_of(_hyperparameters(values)) == []
