"""`imclass evaluate`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imclass.cli import messages
from imclass.cli.parameters import (
    AttributeNames,
    ClassNames,
    Device,
    ImageRoot,
    ImageShape,
    LabelFormat,
    LabelFormatOption,
    Model,
    Quiet,
    Stream,
    Threads,
    image_options,
    place,
)

if TYPE_CHECKING:
    from imclass.training.model_evaluation import Report


def command(
    model: Model,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Labelled images: a folder with one folder a class, a .rec file, a .lst file, or a manifest; also the "
            "address of one.",
            show_default=False,
        ),
    ],
    *,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            dir_okay=False,
            help="Write everything as JSON, - for standard output (then nothing else is printed there).",
            rich_help_panel="Running",
        ),
    ] = None,
    class_names: ClassNames = None,
    image_shape: ImageShape = None,
    image_root: ImageRoot = None,
    attribute_names: AttributeNames = None,
    label_format: LabelFormatOption = LabelFormat.MULTI_HOT,
    stream: Stream = False,
    bad_image_limit: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            help="Share of the images that may be unreadable; 0 stops at the first.",
            rich_help_panel="Data",
        ),
    ] = 0.01,
    batch_size: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Images at a time; does not change results.", rich_help_panel="Running"),
    ] = 64,
    device: Device = "auto",
    threads: Threads = 0,
    quiet: Quiet = False,
) -> None:
    """Measure a model on labelled images: accuracy, loss, every class, and what is confused with what.

    [bold]Examples[/bold]

    imclass evaluate run1/model.tar.gz photos/val

    imclass evaluate run1/model.tar.gz val.rec --json report.json
    """
    options = image_options(
        class_names=class_names,
        image_shape=image_shape,
        image_root=image_root,
        attribute_names=attribute_names,
        label_format=label_format,
        stream=stream,
    )

    from imclass.training.model_evaluation import evaluate_model

    with messages.warnings_on_stderr():
        report = evaluate_model(
            place(model),
            place(source),
            bad_image_limit=bad_image_limit,
            device=device,
            threads=threads,
            batch_size=batch_size,
            **options,
        )
    if not messages.is_main_process():
        return
    to_stdout = json_file is not None and str(json_file) == "-"
    if to_stdout:
        print(report.model_dump_json(indent=2))
    elif json_file is not None:
        _write(report, json_file)
    if not quiet and not to_stdout:
        _show(report)


def _write(report: "Report", path: Path) -> None:
    from imclass.pending_file import PendingFile

    with PendingFile(path) as file:
        file.write(report.model_dump_json(indent=2).encode() + b"\n")


def _show(report: "Report") -> None:
    from imclass.cli import report_tables

    if messages.to_terminal():
        report_tables.print_tables(report)
    else:
        sys.stdout.writelines(f"{line}\n" for line in report_tables.plain_lines(report))
