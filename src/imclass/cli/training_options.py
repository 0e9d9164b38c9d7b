"""Options of the commands that train."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from imclass.cli.channel_options import channel_config
from imclass.cli.parameters import named_places, pairs

if TYPE_CHECKING:
    from imclass.data.channel_settings import Config

_DATA = "Data"
_RUNNING = "Running"

Validation = Annotated[
    str | None,
    typer.Option(metavar="SOURCE", help="Validation images, in any of the forms.", rich_help_panel=_DATA),
]
ValidationSplit = Annotated[
    float | None,
    typer.Option(
        metavar="F", min=0, max=1, help="Share of the training images to keep for validation.", rich_help_panel=_DATA
    ),
]
ValidationImageRoot = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="--image-root of the validation list.", rich_help_panel=_DATA),
]
NewClassNames = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Class names, one a line in the order of the class numbers, for data or a model without names.",
        rich_help_panel=_DATA,
    ),
]
Channel = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=PATH",
        help="A channel of the original in place of SOURCE: train, validation, train_lst, validation_lst, "
        "model. Give one --channel for each.",
        rich_help_panel=_DATA,
    ),
]
ChannelContentType = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=TYPE",
        help="Content type of a channel, for example train=application/x-recordio.",
        rich_help_panel=_DATA,
    ),
]
InitialModel = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Go on from this model (model.tar.gz, its folder, or MXNet's PREFIX-symbol.json).",
        rich_help_panel=_DATA,
    ),
]
PretrainedWeights = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Start from these weights (safetensors or a PyTorch state dictionary) with a new last layer.",
        rich_help_panel=_DATA,
    ),
]
HyperparameterFile = Annotated[
    Path | None,
    typer.Option(
        "--hyperparameters",
        metavar="FILE.json",
        help="Hyperparameters as a flat JSON object of strings, as a SageMaker job has them. "
        "Starts from the original's defaults.",
        rich_help_panel=_RUNNING,
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="One hyperparameter. An option beats --set, and --set beats the file.",
        rich_help_panel=_RUNNING,
    ),
]


class ChannelArguments(TypedDict):
    """What `imclass.training.train` takes about channels; None where there are none."""

    channels: dict[str, str | Path] | None
    content_types: dict[str, str] | None
    input_data_config: "Config | None"


def channel_arguments(
    source: str | None,
    channel: Sequence[str] | None,
    content_type: Sequence[str] | None,
    input_mode: Sequence[str] | None = None,
    input_data_config: Path | None = None,
) -> ChannelArguments:
    """Put together what was typed about channels.

    Raises:
        typer.BadParameter: there are both or neither of SOURCE and channels, or a value cannot be understood.
        DataError: the file of `--input-data-config` cannot be read.
    """
    if source is not None and channel:
        raise typer.BadParameter("give either SOURCE or --channel, not both")
    if source is None and not channel:
        raise typer.BadParameter("give SOURCE, the training images, or --channel train=PATH")
    if content_type and not channel:
        raise typer.BadParameter("--content-type belongs to --channel")
    if (input_mode or input_data_config) and not channel:
        raise typer.BadParameter("--input-mode and --input-data-config belong to --channel")
    channels = named_places("--channel", channel) if channel else None
    return ChannelArguments(
        channels=channels,
        content_types=pairs("--content-type", content_type) if content_type else None,
        input_data_config=channel_config(input_data_config, input_mode or [], channels or {}),
    )
