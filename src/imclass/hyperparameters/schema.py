"""`Hyperparameters`: the one place where the type, range, default and meaning of each hyperparameter stand.

Names, types, ranges and defaults of the originals are those of the Amazon SageMaker developer guide, pages
"Image Classification Hyperparameters" and "Tune an Image Classification Model". Every extension's default
leaves the original's behaviour alone.
"""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from imclass.hyperparameters.depths import check_depth

LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TunableRange:
    """The range that the original's documentation recommends for automatic tuning.

    Attributes:
        scaling: the scale on which it is searched unless another one is asked for; ours, the original does not tell.
    """

    kind: Literal["continuous", "integer", "categorical"]
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    scaling: Literal["Linear", "Logarithmic", "ReverseLogarithmic"] = "Linear"


def _small(minimum: float, maximum: float) -> TunableRange:
    """Of a number whose order of magnitude counts."""
    return TunableRange("continuous", minimum, maximum, scaling="Logarithmic")


def _decay(minimum: float, maximum: float) -> TunableRange:
    """Of a number whose distance from 1 counts: 0.9 and 0.99 differ as much as 0.99 and 0.999."""
    return TunableRange("continuous", minimum, maximum, scaling="ReverseLogarithmic")


def _original(
    default: object,
    meaning: str,
    *,
    values: str | None = None,
    tunable: TunableRange | None = None,
    **bounds: float,
) -> Any:
    """Declare a hyperparameter of the original algorithm.

    Args:
        default: the original's default; None and () mean that it is not set.
        meaning: one or two sentences for users.
        values: the allowed values in words, where bounds and choices do not say them.
        tunable: the tuning range that the original's documentation recommends.
        bounds: pydantic's ge, gt, le, lt.
    """
    recommended = asdict(tunable) if tunable else None
    return _declared(default, meaning, {"original": True, "tunable": recommended, "values": values}, bounds)


def _extension(default: object, meaning: str, **bounds: float) -> Any:
    """Declare a hyperparameter of imclass's own; the arguments are those of `_original`."""
    return _declared(default, meaning, {"original": False, "tunable": None, "values": None}, bounds)


def _declared(default: object, meaning: str, facts: dict[str, Any], bounds: dict[str, float]) -> Any:
    # Typed as Any because pydantic's overloads cannot express bounds that are passed on.
    constraints: dict[str, Any] = dict(bounds)
    return Field(default=default, description=meaning, json_schema_extra=facts, **constraints)


def _check_channels(channels: int) -> int:
    if channels not in (1, 3):
        raise ValueError(f"{channels} channels")
    return channels


LARGEST_SIDE = 4096  # of a network's input; a batch of larger ones fits no memory
Positive = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
Channels = Annotated[int, AfterValidator(_check_channels)]
Depth = Annotated[int, AfterValidator(check_depth)]


class Hyperparameters(BaseModel):
    """All hyperparameters of one run, typed and inside their ranges.

    Whether they fit together is the business of `parse` and `combination_problems`. None means "not set".

    Raises:
        pydantic.ValidationError: when built by hand with a wrong type, name or range.
    """

    # defer_build: commands that only print help never pay for the validator.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    # What the data is
    num_classes: int | None = _original(
        None,
        "Number of classes; labels run from 0 to num_classes - 1. Required by the original.",
        ge=1,
        le=LARGEST_INTEGER,
    )
    num_training_samples: int | None = _original(
        None,
        "Number of training images; defines the length of an epoch. Required by the original.",
        ge=1,
        le=LARGEST_INTEGER,
    )

    # Network and input
    num_layers: Depth = _original(
        152,
        "Depth of the network: 18 to 200 are meant for large images, 20 to 110 for small ones.",
        values="18, 34, 50, 101, 152, 200, 20, 32, 44, 56, 110 or another 6n + 2",
    )
    image_shape: tuple[Channels, Side, Side] = _original(
        (3, 224, 224),
        "Input of the network: channels (3 colour, 1 grey), height, width in pixels.",
        values="3 or 1 channels, sides from 1 to 4096",
    )
    use_pretrained_model: bool = _original(
        False,
        "Start from public ImageNet weights of the same depth; only the last layer is new, all layers train.",
    )
    resize: int | None = _original(
        None,
        "Pixels of the shorter side after resizing, before the crop to image_shape; not set = no resizing.",
        ge=1,
        le=LARGEST_INTEGER,
    )
    precision_dtype: Literal["float32", "float16", "bfloat16", "auto"] = _original(
        "float32",
        "Number format of the computation. The original has float32 and float16; bfloat16 is an extension; auto: "
        "bfloat16 where the device multiplies it, else float32.",
    )
    multi_label: bool = _original(
        False,
        "An image may have several labels at once: sigmoid outputs, accuracy averaged over the classes.",
    )
    use_weighted_loss: bool = _original(
        False,
        "Weigh the positive labels of each class by their rarity; for multi_label only.",
    )
    augmentation_type: Literal["none", "crop", "crop_color", "crop_color_transform"] = _original(
        "none",
        "Random changes of training images. crop: random crop and mirror; crop_color: also hue, saturation "
        "and lightness; crop_color_transform: also rotation, shear and aspect ratio.",
    )

    # Optimisation
    optimizer: Literal["sgd", "adam", "rmsprop", "nag", "muon"] = _original(
        "sgd",
        "sgd: stochastic gradient descent with momentum; nag: with Nesterov's momentum; adam; rmsprop; muon (an "
        "extension): steps that turn all directions of a convolution alike.",
        tunable=TunableRange("categorical", choices=("sgd", "adam", "rmsprop", "nag")),
    )
    learning_rate: float = _original(0.1, "Learning rate at the start.", ge=0, le=1, tunable=_small(1e-6, 0.5))
    momentum: float = _original(0.9, "Momentum; for sgd, nag and muon only.", ge=0, le=1, tunable=_decay(0.0, 0.999))
    weight_decay: float = _original(
        0.0001, "Strength of the L2 penalty on the weights.", ge=0, le=1, tunable=_small(0.0, 0.999)
    )
    beta_1: float = _original(0.9, "Decay of the first moment; for adam only.", ge=0, le=1, tunable=_decay(1e-6, 0.999))
    beta_2: float = _original(
        0.999, "Decay of the second moment; for adam only.", ge=0, le=1, tunable=_decay(1e-6, 0.999)
    )
    eps: float = _original(
        1e-8, "Keeps divisions finite; for adam and rmsprop only.", ge=0, le=1, tunable=_small(1e-8, 1.0)
    )
    gamma: float = _original(
        0.9,
        "Decay of the mean squared gradient; for rmsprop only.",
        ge=0,
        le=1,
        tunable=_decay(1e-8, 0.999),
    )
    lr_scheduler_factor: float = _original(
        0.1, "The learning rate is multiplied by this at each epoch of lr_scheduler_step.", ge=0, le=1
    )
    lr_scheduler_step: tuple[Positive, ...] = _original(
        (),
        "Epochs after which the learning rate drops, such as 10,20; not set = it never drops.",
        values="each at least 1",
    )
    mini_batch_size: int = _original(
        32,
        "Images in a training batch of one host, shared out over its GPUs; several hosts have one each.",
        ge=1,
        le=LARGEST_INTEGER,
        tunable=TunableRange("integer", 8, 512, scaling="Logarithmic"),
    )
    epochs: int = _original(30, "Number of passes through the training data.", ge=1, le=LARGEST_INTEGER)
    kv_store: Literal["none", "dist_sync", "dist_async"] = _original(
        "none",
        "How several hosts train together. dist_sync: gradients are summed at every batch; dist_async: hosts "
        "train on their own between meetings. Without effect on one host.",
    )

    # Reporting, saving, stopping
    top_k: int | None = _original(
        None,
        "Also report how often the right class is among the k most probable; above 1 to be of use.",
        ge=1,
        le=LARGEST_INTEGER,
    )
    checkpoint_frequency: int | None = _original(
        None,
        "Keep the weights of every k-th epoch in the model file; not set = only the best epoch's.",
        ge=1,
        le=LARGEST_INTEGER,
    )
    early_stopping: bool = _original(
        False, "Stop when the validation accuracy no longer improves.", values="True or False"
    )
    early_stopping_min_epochs: int = _original(
        10, "Epochs that are always run before early stopping may act.", ge=1, le=LARGEST_INTEGER
    )
    early_stopping_patience: int = _original(
        5, "Epochs without improvement after which training stops.", ge=1, le=LARGEST_INTEGER
    )
    early_stopping_tolerance: float = _original(
        0.0, "An epoch improves when (new - best) / best is at least this.", ge=0, le=1
    )
    tuning_objective_metric: str | None = _original(
        None, "Sent by SageMaker's tuning jobs, such as validation:accuracy; accepted, without effect."
    )

    # Extensions: the run
    recipe: Literal["sagemaker", "modern"] = _extension(
        "sagemaker",
        "Defaults of whatever is not given. sagemaker: the original's; modern: today's practice.",
    )
    seed: int = _extension(
        0, "Seed of every random draw: first weights, order, augmentation.", ge=0, le=LARGEST_INTEGER
    )
    shuffle_buffer: int = _extension(
        2048,
        "Images of a pipe that each host holds to shuffle them; 0 keeps the order of the stream. For Pipe mode only.",
        ge=0,
        le=LARGEST_INTEGER,
    )
    bad_image_limit: float = _extension(
        0.01, "Share of a data set's images that may be unreadable; 0 fails at the first.", ge=0, le=1
    )
    artifact_format: Literal["imclass", "mxnet", "both"] = _extension(
        "imclass",
        "What model.tar.gz holds. imclass: network and description; mxnet: the original's files, for its endpoints "
        "(resnet_v2 only, so never from public weights); both: all of them.",
    )

    compile: Literal["auto", "on", "off"] = _extension(
        "auto",
        "What computes the network in training steps. auto: on a GPU imclass's own kernels around the convolutions; "
        "on: what torch.compile makes of it, on a CPU too; off: PyTorch's kernels.",
    )
    decoder: Literal["auto", "cpu", "hardware"] = _extension(
        "auto",
        "What decodes the JPEGs of training. auto: on a GPU its hardware decoder, helped by the CPU, where that is "
        "faster, else the CPU; cpu: the CPU; hardware: the hardware decoder alone, or a refusal.",
    )

    # Extensions: network and input
    network: Literal["auto", "resnet_v2", "resnet_v1"] = _extension(
        "auto",
        "Family of the network. resnet_v2: the original's; resnet_v1: that of the public ImageNet weights; "
        "auto: resnet_v1 with use_pretrained_model, else resnet_v2.",
    )
    resize_mode: Literal["crop", "pad", "stretch"] = _extension(
        "crop",
        "How an image meets image_shape. crop: shorter side to resize, then crop; pad: the whole image with "
        "borders; stretch: the whole image, aspect ratio ignored.",
    )
    pad_size: int = _extension(
        0, "Pixels of border added on every side before the random crop.", ge=0, le=LARGEST_INTEGER
    )
    freeze_backbone_epochs: int = _extension(
        0, "First epochs that train only the last layer.", ge=0, le=LARGEST_INTEGER
    )

    # Extensions: optimisation
    lr_schedule: Literal["step", "cosine"] = _extension(
        "step",
        "Course of the learning rate. step: lr_scheduler_step and lr_scheduler_factor; cosine: falls to 0 "
        "over the run along half a cosine.",
    )
    warmup_epochs: float = _extension(
        0.0, "Epochs (fractions too) in which the learning rate rises in a straight line to its start.", ge=0
    )
    gradient_clip_norm: float = _extension(
        0.0, "Largest L2 norm of the gradient of one step; longer ones are shortened; 0 = off.", ge=0
    )
    ema_decay: float = _extension(
        0.0,
        "Decay per step of the running average of the weights, which is then evaluated and saved; 0 = off.",
        ge=0,
        lt=1,
    )
    sync_batch_norm: bool = _extension(False, "Batch normalisation over the batches of all processes together.")
    local_update_steps: int = _extension(
        8, "Steps between two parameter averagings with kv_store=dist_async.", ge=1, le=LARGEST_INTEGER
    )

    # Extensions: loss
    label_smoothing: float = _extension(0.0, "Share of each target that is spread evenly over all classes.", ge=0, lt=1)
    mixup_alpha: float = _extension(
        0.0, "Parameter of the Beta(alpha, alpha) distribution that mixes pairs of images; 0 = off.", ge=0
    )
    cutmix_alpha: float = _extension(
        0.0, "Parameter of the Beta(alpha, alpha) distribution of pasted rectangles; 0 = off.", ge=0
    )
    class_weights: Literal["none", "balanced"] = _extension(
        "none", "balanced: weigh the loss of each class by the inverse of its frequency."
    )
