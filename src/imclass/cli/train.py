"""`imclass train`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imclass.cli import messages
from imclass.cli.exit_status import TERMINATED
from imclass.cli.hyperparameter_options import with_hyperparameter_options
from imclass.cli.parameters import (
    AttributeNames,
    Device,
    ImageRoot,
    LabelFormat,
    LabelFormatOption,
    Quiet,
    Stream,
    Threads,
    attribute_pair,
    class_name_list,
    place_or_none,
)
from imclass.cli.raw_hyperparameters import gather
from imclass.cli.training_options import (
    Assignments,
    Channel,
    ChannelContentType,
    HyperparameterFile,
    InitialModel,
    NewClassNames,
    PretrainedWeights,
    Validation,
    ValidationImageRoot,
    ValidationSplit,
    channel_arguments,
)

if TYPE_CHECKING:
    from imclass.training import Run

_RUNNING = "Running"
_DATA = "Data"


@with_hyperparameter_options
def command(
    hyperparameters: dict[str, str],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="Training images: a folder with one folder a class, a .rec file, a .lst file, or a manifest; also the "
            "address of one: s3://, gs://, https://.",
            show_default=False,
        ),
    ] = None,
    *,
    validation: Validation = None,
    validation_split: ValidationSplit = None,
    image_root: ImageRoot = None,
    validation_image_root: ValidationImageRoot = None,
    attribute_names: AttributeNames = None,
    label_format: LabelFormatOption = LabelFormat.MULTI_HOT,
    class_names: NewClassNames = None,
    stream: Stream = False,
    channel: Channel = None,
    content_type: ChannelContentType = None,
    input_mode: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]File|Pipe",
            help="How channels come: File, or Pipe: through the FIFOs PATH_0, PATH_1, ... Without NAME for train and "
            "validation.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    input_data_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="Settings of channels as in SageMaker's inputdataconfig.json.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    pipe_deadline: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help="Longest wait for a pipe, its writer or its next bytes.",
            rich_help_panel=_DATA,
        ),
    ] = 300.0,
    model: InitialModel = None,
    pretrained: PretrainedWeights = None,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for everything that the run writes.", rich_help_panel=_RUNNING)
    ],
    hyperparameter_file: HyperparameterFile = None,
    assignments: Assignments = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --output.", rich_help_panel=_RUNNING)
    ] = False,
    no_report: Annotated[
        bool,
        typer.Option(
            "--no-report",
            help="Do not make DIR/report.html at the end; imclass report DIR makes it later.",
            rich_help_panel=_RUNNING,
        ),
    ] = False,
    tracker: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Where the run is recorded: tensorboard (the default), mlflow, wandb, or a plug-in. "
            "Give one --tracker for each.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    track_model: Annotated[
        bool,
        typer.Option("--track-model", help="The trackers get the model file too.", rich_help_panel=_RUNNING),
    ] = False,
    device: Device = "auto",
    threads: Threads = 0,
    quiet: Quiet = False,
    log_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="Append all log lines to this file too.", rich_help_panel=_RUNNING
        ),
    ] = None,
) -> None:
    """Train an image classifier and write DIR/model.tar.gz.

    With SOURCE, depth, image size and all other hyperparameters are chosen for the data, except those that you
    give. With --channel or --hyperparameters everything starts from the original's defaults.

    [bold]Examples[/bold]

    imclass train photos --output run1

    imclass train photos/train --validation photos/val --epochs 20 --output run2

    imclass train train.rec --validation val.rec --hyperparameters hp.json --output run3

    imclass train --channel train=train/ --channel validation=val/ --hyperparameters hp.json --output run4

    imclass train --channel train=pipes/train --channel validation=pipes/validation --input-mode Pipe
    --hyperparameters hp.json --output run5

    imclass train s3://bucket/train.rec --stream --output run6

    torchrun --nproc-per-node 8 -m imclass train photos --output run7
    """
    channels = channel_arguments(source, channel, content_type, input_mode, input_data_config)
    attributes, names = attribute_pair(attribute_names), class_name_list(class_names)
    values = gather(hyperparameter_file, assignments or [], hyperparameters)

    from imclass.training import train
    from imclass.training.trackers.choosing import DEFAULT

    pages: list[Path] = []

    def report(run: "Run") -> list[Path]:
        pages.extend(make_report(run.output, device, threads, quiet=quiet))
        return pages

    run = train(
        place_or_none(source),
        output=output,
        validation=place_or_none(validation),
        validation_split=validation_split,
        **channels,
        pipe_deadline=pipe_deadline,
        model=place_or_none(model),
        pretrained=place_or_none(pretrained),
        image_root=place_or_none(image_root),
        validation_image_root=place_or_none(validation_image_root),
        attribute_names=attributes,
        label_format=label_format.value,
        class_names=names,
        stream=stream,
        hyperparameters=values,
        resume=resume,
        trackers=tracker or DEFAULT,
        track_model=track_model,
        threads=threads,
        device=device,
        quiet=quiet,
        log_file=log_file,
        at_end=None if no_report else report,
    )
    if run.interrupted:
        messages.warning(f"stopped by SIGTERM; the same command with --resume goes on, from {run.output}")
        raise typer.Exit(TERMINATED)
    if messages.is_main_process() and not quiet:
        print(closing_summary(run, pages[0] if pages else None))


def make_report(output: Path, device: str, threads: int, *, quiet: bool) -> list[Path]:
    """The report of a run that is over; none, and a warning, where it cannot be made: the model is there."""
    from imclass.errors import UserError
    from imclass.reports import report_run

    try:
        return [report_run(output, device=device, threads=threads, quiet=quiet)]
    except UserError as error:
        messages.warning(f"the run is complete, but its report could not be made: {error}")
        return []


def closing_summary(run: "Run", page: Path | None) -> str:
    """What was made, how good it is, and what to type next.

    Args:
        page: of the report, if there is one.
    """
    model = shlex.quote(str(run.model_path))
    return "\n".join(
        [
            "",
            f"model     {run.model_path}",
            *([f"report    {page}"] if page else []),
            f"best      {_best(run)}",
            f"next      imclass predict {model} IMAGE...",
            f"          imclass evaluate {model} SOURCE",
        ]
    )


def _best(run: "Run") -> str:
    if not run.best:
        return "not one epoch was completed"
    epoch = int(run.best["epoch"]) + 1
    return f"{run.best['validation_accuracy']:.2%} validation accuracy, after epoch {epoch} of {len(run.metrics)}"
