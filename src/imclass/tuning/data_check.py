"""A look at the data before the first trial: what is wrong with it would fail all of them."""

from collections.abc import Mapping
from typing import Any

from imclass.data.pipe import DEADLINE_SECONDS
from imclass.hyperparameters import parse
from imclass.training.opening import DataRequest, open_data


def training_samples(options: Mapping[str, Any], fixed: Mapping[str, object]) -> int:
    """Number of images that trials train on.

    Args:
        options: of `imclass.training.train`: where the data is.
        fixed: hyperparameters that are the same in all trials.

    Raises:
        UserError: the data cannot be read.
    """
    settings = parse(fixed)
    request = DataRequest(
        source=options["source"],
        validation=options["validation"],
        validation_split=options["validation_split"],
        channels={},
        content_types={},
        channel_settings={},
        pipe_deadline=DEADLINE_SECONDS,
        image_root=options["image_root"],
        validation_image_root=options["validation_image_root"],
        attribute_names=options["attribute_names"],
        label_format=options["label_format"],
        stream=options["stream"],
    )
    here = request.at_hand(quiet=True)
    data = open_data(here, class_names=options["class_names"], num_classes=settings.num_classes, seed=settings.seed)
    return len(data.sources[0])
