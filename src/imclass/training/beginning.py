"""What a run begins with: what was typed about the training, and the model or weights to go on from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imclass import artifact, models
from imclass.data import find_model
from imclass.errors import UserError
from imclass.hyperparameters import Hyperparameters, parse
from imclass.training.checkpoint import LAST, saved_settings
from imclass.training.labels import known_class_names, with_class_count
from imclass.training.opening import DataRequest
from imclass.training.process_group import Processes


@dataclass(frozen=True)
class Wishes:
    """What was typed about the training itself, checked as far as can be before data is read.

    Attributes:
        values: hyperparameters as they were given, with the number of classes that class names tell.
        given: the same with the recipe that completes them.
        settings: of `given`.
        class_names: as they were given.
        chooses: whether what is not given is chosen from the data.
    """

    values: Mapping[str, object]
    given: Mapping[str, object]
    settings: Hyperparameters
    class_names: Sequence[str] | None
    chooses: bool


def read_wishes(
    hyperparameters: Mapping[str, object],
    class_names: Sequence[str] | None,
    request: DataRequest,
    model: str | Path | None,
    pretrained: str | Path | None,
) -> Wishes:
    """Read hyperparameters, before anything is fetched or opened.

    Raises:
        HyperparameterError: all that is wrong with them.
        DataError: two classes have one name.
        UserError: there are two models to go on from.
    """
    if "model" in request.channels and model is not None:
        raise UserError("a model and a model channel, but a run goes on from one", fix="Leave one of them out.")
    values = with_class_count(hyperparameters, class_names)
    given = with_recipe(values, "sagemaker" if request.channels else "modern")
    fine_tuning = "model" in request.channels or model is not None or pretrained is not None
    settings = parse(given, fine_tuning=fine_tuning)
    return Wishes(values, given, settings, class_names, not request.channels and settings.recipe == "modern")


@dataclass(frozen=True)
class Beginning:
    """What a run starts from.

    Attributes:
        model: file to go on training, and `description`, what it says of itself; None for another start.
        pretrained: file of weights that was asked for.
        class_names: known before the data is opened: given, or the model's.
    """

    model: Path | None
    description: artifact.Description | None
    pretrained: Path | None
    class_names: tuple[str, ...] | None


def look_at_beginning(wishes: Wishes, model: Path | None, pretrained: Path | None) -> Beginning:
    """Look at what a run is to start from, and whether that fits what was typed.

    Raises:
        UserError: the model cannot be read, has other classes, or cannot lead to the files that are wanted.
    """
    typed = wishes.settings
    # The model's own shape counts where it says one; models of MXNet may not.
    shape = typed.image_shape if "image_shape" in wishes.given or typed.recipe == "sagemaker" else None
    description = artifact.read_description(model, image_shape=shape) if model else None
    names = known_class_names(wishes.class_names, typed.num_classes, description, model)
    check_family(typed, description, pretrained)
    return Beginning(model, description, pretrained, names)


def model_of(request: DataRequest) -> Path | None:
    """The model in the channel of that name, if there is one."""
    place = request.channels.get("model")
    return find_model(place) if isinstance(place, Path) else None


def resumed_settings(wishes: Wishes, output: Path, processes: Processes) -> Hyperparameters | None:
    """What was settled when the run in `output` began still holds, except for what is typed otherwise now.

    Returns:
        None when there is no checkpoint to resume from.
    """
    if not processes.any((output / LAST).exists()):
        return None
    return parse({**saved_settings(output, processes), **_given(wishes.values)}, fine_tuning=True)


def check_family(settings: Hyperparameters, initial_model: artifact.Description | None, weights: Path | None) -> None:
    """Refuse, before data is read, a start from which no file of MXNet can come.

    Raises:
        UserError: the model or the weights to start from are not of the original's family.
    """
    if settings.artifact_format == "imclass":
        return
    family = family_of(settings, weights, initial_model)
    if family != artifact.MXNET_NETWORK:
        raise UserError(
            f"artifact_format={settings.artifact_format} needs a {artifact.MXNET_NETWORK}, the original's network, "
            f"and the run would start from a {family}",
            where=None if weights is None else str(weights),
            fix="Start from another model, from random weights, or leave artifact_format out.",
        )


def family_of(settings: Hyperparameters, weights: Path | None, initial_model: artifact.Description | None) -> str:
    """The network's family: asked for, or that of the weights or the model to start from, or the original's."""
    if settings.network != "auto":
        return settings.network
    if weights:
        return models.family_of(weights)
    return "resnet_v2" if initial_model is None else initial_model.network


def with_recipe(hyperparameters: Mapping[str, object], usual: str) -> dict[str, object]:
    """The given values, with the recipe that they ask for or the usual one."""
    given = _given(hyperparameters)
    return {"recipe": usual, **given}


def _given(hyperparameters: Mapping[str, object]) -> dict[str, object]:
    """None counts as not given."""
    return {name: value for name, value in hyperparameters.items() if value is not None}
