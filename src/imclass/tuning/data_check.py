"""A look at the data before the first trial: what is wrong with it would fail all of them."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from imclass.hyperparameters import parse
from imclass.training.opening import DataRequest, open_data


def training_samples(options: Mapping[str, Any], fixed: Mapping[str, object]) -> int:
    """Number of images that trials train on.

    Args:
        options: of `imclass.training.train`: where the data is, and what trials start from.
        fixed: hyperparameters that are the same in all trials.

    Raises:
        UserError: the data or the model to go on from cannot be read.
    """
    settings = parse(fixed)
    about_data = signature(DataRequest.of).parameters
    request = DataRequest.of(**{name: value for name, value in options.items() if name in about_data})
    request = request.at_hand(quiet=True)
    class_names = _class_names(request, options, fixed)
    data = open_data(request, class_names=class_names, num_classes=settings.num_classes, seed=settings.seed)
    return len(data.sources[0])


def _class_names(
    request: DataRequest, options: Mapping[str, Any], fixed: Mapping[str, object]
) -> tuple[str, ...] | None:
    """Those that are given, or those of the model that trials go on from."""
    if options["model"] is None and "model" not in request.channels:
        given: tuple[str, ...] | None = options["class_names"]
        return given
    # Here, since it takes PyTorch to read a model, for which a search has no other use.
    from imclass.data import local_path
    from imclass.training.beginning import look_at_beginning, model_of, read_wishes

    model, pretrained = (
        None if place is None else local_path(place) for place in (options["model"], options["pretrained"])
    )
    wishes = read_wishes(fixed, options["class_names"], request, model, pretrained)
    return look_at_beginning(wishes, model_of(request) or model, pretrained).class_names
