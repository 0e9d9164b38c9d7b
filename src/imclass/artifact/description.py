"""`model.json`: what a model is, how its images are prepared and how it came to be.

Version 1 of the format; `docs/model-file.md` explains every field.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from torch import Tensor

from imclass.artifact.members import CHECKPOINT_NAME, CHECKPOINTS
from imclass.errors import ArtifactError
from imclass.models import NETWORKS, ResNet, build
from imclass.version import VERSION

FORMAT_VERSION: Final = 1


def checkpoint_member(epoch: int) -> str:
    """Where the weights of an epoch are, counted from 1."""
    return f"{CHECKPOINTS}/epoch-{epoch:04d}.safetensors"


def epoch_of(checkpoint: Path) -> int:
    """The epoch of a file of weights called as `checkpoint_member` says, counted from 1."""
    name = CHECKPOINT_NAME.fullmatch(checkpoint.name)
    assert name is not None, f"{checkpoint} is not called as the weights of an epoch are"
    return int(name["epoch"])


_STRICT = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings", hide_input_in_errors=True)

# The upper bound keeps a wrong number from overflowing inside torch before the weights are compared with it.
_Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Normalisation(BaseModel):
    """Applied by the network itself: (value - mean) / std for each channel, in units of 0..255."""

    model_config = _STRICT

    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]


class Description(BaseModel):
    """Everything about a model but its weights.

    Attributes:
        format_version: 1.
        network: key of `imclass.models.NETWORKS`.
        num_layers: depth.
        image_shape: (channels, height, width) of the input.
        num_classes: number of outputs.
        class_names: names in the order of the outputs, or None where the data had none.
        multi_label: outputs are independent (sigmoid) instead of exclusive (softmax).
        normalisation: what the network does to raw values 0..255; for other runtimes, which may want to know.
        resize: shorter side in pixels after the first step of preparation, or None for no such step.
        resize_mode: how an image is fitted to `image_shape`.
        fill_value: value 0..255 of pixels that lie outside the image.
        hyperparameters: those of the training run, as JSON values.
        metrics: of the epoch that the weights are from; NaN and infinities are written as strings.
        epoch: counted from 1; 0 for weights that were never trained.
        temperature: number by which logits are divided where calibrated probabilities are asked for, fitted on the
            validation images; None where it was not.
        imclass_version: version that wrote the file.
    """

    model_config = _STRICT

    format_version: Literal[1] = FORMAT_VERSION
    network: str
    num_layers: int
    image_shape: tuple[_Positive, _Positive, _Positive]
    num_classes: _Positive
    class_names: tuple[str, ...] | None = None
    multi_label: bool = False
    normalisation: Normalisation
    resize: _Positive | None = None
    resize_mode: Literal["crop", "pad", "stretch"] = "crop"
    fill_value: Annotated[int, Field(ge=0, le=255)] = 127
    hyperparameters: Mapping[str, JsonValue] = Field(default_factory=dict)
    metrics: Mapping[str, float] = Field(default_factory=dict)
    epoch: Annotated[int, Field(ge=0)] = 0
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    imclass_version: str = VERSION

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.network not in NETWORKS:
            raise ValueError(f"network: must be one of {', '.join(NETWORKS)}")
        if self.class_names is not None and len(self.class_names) != self.num_classes:
            raise ValueError(f"class_names: {len(self.class_names)} names for {self.num_classes} classes")
        channels = self.image_shape[0]
        if not len(self.normalisation.mean) == len(self.normalisation.std) == channels:
            raise ValueError(f"normalisation: must have {channels} values, as many as there are channels")
        return self

    def build(self) -> ResNet:
        """The network described, with torch's own initial values.

        Raises:
            UserError: there is no network of this depth or shape.
        """
        return build(self.network, self.num_layers, self.image_shape, self.num_classes)


def supplemented(
    description: Description,
    where: str,
    *,
    class_names: Sequence[str] | None = None,
    image_shape: tuple[int, int, int] | None = None,
) -> Description:
    """A description with what the user knows besides.

    Args:
        where: the model file, for messages.
        class_names: names in the order of the outputs, in place of the model's own, if it has any.
        image_shape: must be the model's own.

    Raises:
        ArtifactError: there are not as many names as classes, or the shape is another.
    """
    if image_shape is not None and image_shape != description.image_shape:
        own, given = (",".join(map(str, shape)) for shape in (description.image_shape, image_shape))
        raise ArtifactError(
            f"the model says that its image shape is {own}, not {given}", where=where, fix="Leave the shape out."
        )
    if class_names is None:
        return description
    if len(class_names) != description.num_classes:
        raise ArtifactError(
            f"there are {len(class_names)} class names, but the model has {description.num_classes} classes",
            where=where,
            fix="Give one name for each class, in the order of the class numbers.",
        )
    return description.model_copy(update={"class_names": tuple(class_names)})


def differences(expected: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """One line for each tensor that is missing, not expected or of another shape, in the network's order."""
    missing = [f"{name}: missing" for name in expected if name not in shapes]
    unexpected = [f"{name}: not expected" for name in shapes if name not in expected]
    reshaped = [
        f"{name}: shape {shapes[name]} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in shapes and shapes[name] != tuple(tensor.shape)
    ]
    return missing + unexpected + reshaped
