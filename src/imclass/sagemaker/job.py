"""What a training job asks for: the files in /opt/ml/input/config, read and checked together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from imclass.data import parse_input_data_config, read_input_data_config
from imclass.errors import DataError, UserError, listing
from imclass.hyperparameters import parse
from imclass.hyperparameters.file import read_file
from imclass.sagemaker.cluster import Cluster, read_cluster
from imclass.sagemaker.layout import Layout

Part = TypeVar("Part")

NEEDED_CHANNELS = ("train", "validation")


@dataclass(frozen=True)
class TrainingJob:
    """What a job asks for.

    Attributes:
        hyperparameters: as they were sent, by name.
        input_data_config: settings of each channel, as they were sent.
        channels: folder of each channel, or what the names of its FIFOs begin with.
        cluster: the hosts.
    """

    hyperparameters: dict[str, object]
    input_data_config: dict[str, dict[str, str]]
    channels: dict[str, Path]
    cluster: Cluster


def read_job(layout: Layout) -> TrainingJob:
    """Read and check all three files.

    Raises:
        UserError: everything that is wrong, in any of them.
    """
    problems: list[UserError] = []
    hyperparameters = attempt(lambda: read_hyperparameters(layout), problems)
    config = attempt(lambda: read_channels(layout), problems)
    cluster = attempt(lambda: read_cluster(layout.resource_config), problems)
    if len(problems) == 1:
        raise problems[0]
    if hyperparameters is None or config is None or cluster is None:
        raise UserError(f"the job cannot be started:\n{listing([str(problem) for problem in problems])}")
    return TrainingJob(hyperparameters, config, {name: layout.channel(name) for name in config}, cluster)


def attempt(read: Callable[[], Part], problems: list[UserError]) -> Part | None:
    """What `read` gives, or None and one problem more."""
    try:
        return read()
    except UserError as error:
        problems.append(error)
        return None


def read_hyperparameters(layout: Layout) -> dict[str, object]:
    """The hyperparameters as they were sent, after a check of their names, values and combinations.

    Raises:
        HyperparameterError: everything that is wrong.
    """
    values = read_file(layout.hyperparameters)
    parse({"recipe": "sagemaker", **values})
    return values


def read_channels(layout: Layout) -> dict[str, dict[str, str]]:
    """The settings of the channels as they were sent.

    Raises:
        DataError: the file cannot be read, or a channel that every job needs is missing.
    """
    config = read_input_data_config(layout.input_data_config)
    parse_input_data_config(config, where=str(layout.input_data_config))
    missing = [name for name in NEEDED_CHANNELS if name not in config]
    if missing:
        raise DataError(
            f"the job has no {' and no '.join(missing)} channel",
            where=str(layout.input_data_config),
            fix="Every job needs the channels train and validation; images with lists need train_lst and "
            "validation_lst too.",
        )
    return config
