"""What a job says before it begins, in the original's words."""

import logging

from imclass.data import parse_input_data_config
from imclass.hyperparameters import Hyperparameters, parse, to_strings
from imclass.sagemaker.job import TrainingJob
from imclass.sagemaker.layout import Layout
from imclass.version import VERSION

original = logging.getLogger("imclass.original")

SPLITS = ("train", "validation")


def announce(job: TrainingJob, layout: Layout) -> None:
    """Log the hyperparameters, from where they come, and where the data is looked for."""
    defaults = to_strings(Hyperparameters())
    original.info("Reading default configuration from imclass %s: %s", VERSION, defaults)
    original.info("Merging with provided configuration from %s: %s", layout.hyperparameters, job.hyperparameters)
    original.info("Final configuration: %s", to_strings(parse({"recipe": "sagemaker", **job.hyperparameters})))
    settings = parse_input_data_config(job.input_data_config)
    for split in SPLITS:
        if f"{split}_lst" in job.channels:
            original.info("Searching for .lst files in %s.", job.channels[f"{split}_lst"])
        elif not settings[split].is_pipe:
            original.info("Searching for .rec files in %s.", job.channels[split])
