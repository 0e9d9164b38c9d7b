"""The command that trains a model once more, with everything that was chosen for the run written out."""

import shlex

from imclass.training.record import RunRecord

NEW_OUTPUT = "again"


def command_of(record: RunRecord) -> str:
    """`imclass train` with the data and all hyperparameters of a run, for a shell.

    Hyperparameters are all named, since what is left out would be chosen for the machine at hand.
    """
    data = record.data
    words = ["imclass", "train"]
    words += [data.source] if data.source is not None else []
    for name, place in data.channels.items():
        words += ["--channel", f"{name}={place}"]
    for name, content_type in data.content_types.items():
        words += ["--content-type", f"{name}={content_type}"]
    for name, settings in data.input_data_config.items():
        if mode := settings.get("TrainingInputMode"):
            words += ["--input-mode", f"{name}={mode}"]
    options = {
        "--validation": data.validation,
        "--validation-split": data.validation_split,
        "--image-root": data.image_root,
        "--validation-image-root": data.validation_image_root,
        "--attribute-names": ",".join(data.attribute_names) if data.attribute_names else None,
        "--label-format": data.label_format if data.label_format != "multi-hot" else None,
        "--model": data.model,
        "--pretrained": data.pretrained,
    }
    for option, value in options.items():
        words += [] if value is None else [option, str(value)]
    words += ["--stream"] if data.stream else []
    words += ["--output", NEW_OUTPUT]
    for name, value in record.hyperparameters.items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)
