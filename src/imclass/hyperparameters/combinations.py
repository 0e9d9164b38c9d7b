"""Values that are fine alone but not together.

`COMBINATIONS` are errors, `REMARKS` and `WITHOUT_EFFECT` are warnings. Messages and documentation are made
from these tables; in a message `{name}` stands for the value of that hyperparameter.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass

from imclass.hyperparameters.depths import LARGE_DEPTHS
from imclass.hyperparameters.fields import FIELDS, text_of
from imclass.hyperparameters.schema import Hyperparameters

Condition = Callable[[Hyperparameters], bool]

SMALLEST_PRETRAINED_HEIGHT = 33


@dataclass(frozen=True, slots=True)
class Rule:
    """A combination worth a message: the names it looks at, when it applies, what to say."""

    names: tuple[str, ...]
    applies: Condition
    message: str


@dataclass(frozen=True, slots=True)
class Need:
    """Hyperparameters that act under one condition only."""

    names: tuple[str, ...]
    condition: str
    met: Condition


COMBINATIONS: tuple[Rule, ...] = (
    Rule(
        ("use_weighted_loss", "multi_label"),
        lambda hp: hp.use_weighted_loss and not hp.multi_label,
        "use_weighted_loss=1 needs multi_label=1; with one label an image use class_weights=balanced",
    ),
    Rule(
        ("class_weights", "multi_label"),
        lambda hp: hp.class_weights == "balanced" and hp.multi_label,
        "class_weights=balanced is for one label an image; with multi_label use use_weighted_loss=1",
    ),
    Rule(
        ("label_smoothing", "multi_label"),
        lambda hp: hp.label_smoothing > 0 and hp.multi_label,
        "label_smoothing={label_smoothing} is for one label an image; with multi_label it must be 0",
    ),
    Rule(
        ("top_k", "num_classes"),
        lambda hp: hp.top_k is not None and hp.num_classes is not None and hp.top_k >= hp.num_classes,
        "top_k={top_k} must be less than num_classes={num_classes}: otherwise every image counts as right",
    ),
    Rule(
        ("checkpoint_frequency", "epochs"),
        lambda hp: hp.checkpoint_frequency is not None and hp.checkpoint_frequency > hp.epochs,
        "checkpoint_frequency={checkpoint_frequency} must be at most epochs={epochs}",
    ),
    Rule(
        ("mini_batch_size", "num_training_samples"),
        lambda hp: hp.num_training_samples is not None and hp.mini_batch_size > hp.num_training_samples,
        "mini_batch_size={mini_batch_size} is more than num_training_samples={num_training_samples}: The number of "
        "input images must be bigger or equal to the mini_batch_size.",
    ),
    Rule(
        ("warmup_epochs", "epochs"),
        lambda hp: hp.warmup_epochs >= hp.epochs,
        "warmup_epochs={warmup_epochs} must be less than epochs={epochs}",
    ),
    Rule(
        ("freeze_backbone_epochs", "epochs"),
        lambda hp: hp.freeze_backbone_epochs >= hp.epochs,
        "freeze_backbone_epochs={freeze_backbone_epochs} must be less than epochs={epochs}",
    ),
    Rule(
        ("use_pretrained_model", "image_shape"),
        lambda hp: hp.use_pretrained_model and hp.image_shape[1] < SMALLEST_PRETRAINED_HEIGHT,
        f"use_pretrained_model=1 needs an image height of at least {SMALLEST_PRETRAINED_HEIGHT}: "
        "image_shape={image_shape} gets another first layer",
    ),
    Rule(
        ("use_pretrained_model", "num_layers"),
        lambda hp: hp.use_pretrained_model and hp.num_layers not in LARGE_DEPTHS,
        "num_layers={num_layers} does not go with use_pretrained_model=1, which needs one of the depths "
        f"{', '.join(map(str, LARGE_DEPTHS))}",
    ),
    Rule(
        ("use_pretrained_model", "network"),
        lambda hp: hp.use_pretrained_model and hp.network == "resnet_v2",
        "use_pretrained_model=1 needs network=auto or resnet_v1: there are no public weights of resnet_v2",
    ),
    Rule(
        ("artifact_format", "network"),
        lambda hp: hp.artifact_format != "imclass" and hp.network == "resnet_v1",
        "artifact_format={artifact_format} needs network=resnet_v2: the original has no resnet_v1",
    ),
    Rule(
        ("artifact_format", "use_pretrained_model"),
        lambda hp: hp.artifact_format != "imclass" and hp.use_pretrained_model,
        "artifact_format={artifact_format} does not go with use_pretrained_model=1: the public weights are of "
        "resnet_v1, which the original has not",
    ),
)

REMARKS: tuple[Rule, ...] = (
    Rule(
        ("lr_scheduler_step",),
        lambda hp: list(hp.lr_scheduler_step) != sorted(set(hp.lr_scheduler_step)),
        "lr_scheduler_step={lr_scheduler_step} should name each epoch once, in rising order",
    ),
    Rule(
        ("lr_scheduler_step", "epochs"),
        lambda hp: max(hp.lr_scheduler_step, default=0) >= hp.epochs,
        "lr_scheduler_step={lr_scheduler_step} reaches epochs={epochs} or more: those drops never come",
    ),
    Rule(
        ("resize", "image_shape", "resize_mode"),
        lambda hp: hp.resize is not None and hp.resize < _longest_needed_side(hp),
        "resize={resize} is smaller than image_shape={image_shape}: images that are then too small get enlarged",
    ),
    Rule(
        ("artifact_format", "resize", "resize_mode"),
        lambda hp: hp.artifact_format != "imclass" and (hp.resize is not None or hp.resize_mode != "stretch"),
        "artifact_format={artifact_format}: endpoints of the original stretch the whole image to image_shape, which is "
        "not what resize and resize_mode say here; their answers differ where images are not of image_shape already. "
        "resize_mode=stretch without resize trains for them",
    ),
    Rule(
        ("early_stopping_min_epochs", "epochs", "early_stopping"),
        lambda hp: hp.early_stopping and hp.early_stopping_min_epochs > hp.epochs,
        "early_stopping_min_epochs={early_stopping_min_epochs} is more than epochs={epochs}: training never "
        "stops early",
    ),
    Rule(
        ("num_classes", "multi_label"),
        lambda hp: hp.num_classes == 1 and not hp.multi_label,
        "num_classes=1 without multi_label leaves nothing to learn: every answer is right",
    ),
)

WITHOUT_EFFECT: tuple[Need, ...] = (
    Need(("momentum",), "optimizer=sgd, nag or muon", lambda hp: hp.optimizer in ("sgd", "nag", "muon")),
    Need(("beta_1", "beta_2"), "optimizer=adam", lambda hp: hp.optimizer == "adam"),
    Need(("eps",), "optimizer=adam or rmsprop", lambda hp: hp.optimizer in ("adam", "rmsprop")),
    Need(("gamma",), "optimizer=rmsprop", lambda hp: hp.optimizer == "rmsprop"),
    Need(("lr_scheduler_step",), "lr_schedule=step", lambda hp: hp.lr_schedule == "step"),
    Need(
        ("lr_scheduler_factor",),
        "lr_schedule=step and lr_scheduler_step",
        lambda hp: hp.lr_schedule == "step" and hp.lr_scheduler_step != (),
    ),
    Need(("pad_size",), "a random crop (augmentation_type)", lambda hp: hp.augmentation_type != "none"),
    Need(
        ("early_stopping_min_epochs", "early_stopping_patience", "early_stopping_tolerance"),
        "early_stopping=True",
        lambda hp: hp.early_stopping,
    ),
    Need(("top_k",), "one label an image (multi_label=0)", lambda hp: not hp.multi_label),
    Need(("local_update_steps",), "kv_store=dist_async", lambda hp: hp.kv_store == "dist_async"),
)


def combination_problems(hyperparameters: Hyperparameters, unsure: Set[str] = frozenset()) -> list[str]:
    """Say which values do not fit together, one sentence each.

    Args:
        hyperparameters: what to judge.
        unsure: names whose values mean nothing; rules that look at one of them are left out.
    """
    return [
        _said(rule, hyperparameters)
        for rule in COMBINATIONS
        if unsure.isdisjoint(rule.names) and rule.applies(hyperparameters)
    ]


def warnings_of(hyperparameters: Hyperparameters) -> list[str]:
    """Say what the user should look at again although training can start, one sentence each."""
    remarks = [_said(rule, hyperparameters) for rule in REMARKS if rule.applies(hyperparameters)]
    idle = [
        f"{name}={text_of(getattr(hyperparameters, name))} has no effect without {need.condition}"
        for need in WITHOUT_EFFECT
        if not need.met(hyperparameters)
        for name in need.names
        if getattr(hyperparameters, name) != FIELDS[name].default
    ]
    return remarks + idle


def _said(rule: Rule, hyperparameters: Hyperparameters) -> str:
    values = {attribute: text_of(value) for attribute, value in hyperparameters}
    return rule.message.format_map(values)


def _longest_needed_side(hyperparameters: Hyperparameters) -> int:
    """Give the shorter side in pixels from which no image is enlarged."""
    # pad and stretch resize to the aspect ratio of image_shape, crop keeps that of the image.
    sides = hyperparameters.image_shape[1:]
    return max(sides) if hyperparameters.resize_mode == "crop" else min(sides)
