"""`imclass report`."""

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
    Quiet,
    Stream,
    Threads,
    image_options,
    place,
)

if TYPE_CHECKING:
    from imclass.training.model_evaluation import ImageOptions


def command(
    run_or_model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|MODEL",
            help="The output folder of a run; or, with SOURCE, a model as for evaluate.",
            show_default=False,
        ),
    ],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="Labelled images that the model was not trained on, as for evaluate.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Folder for report.html and report/, with SOURCE; the report of a run goes to the run's own folder.",
            rich_help_panel="Running",
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=100,
            help="Look for wrong labels of the training images by cross-validation, which trains N networks on parts "
            "of them; 0 takes the answers of the run's own model.",
            rich_help_panel="Running",
        ),
    ] = 0,
    class_names: ClassNames = None,
    image_shape: ImageShape = None,
    image_root: ImageRoot = None,
    attribute_names: AttributeNames = None,
    label_format: LabelFormatOption = LabelFormat.MULTI_HOT,
    stream: Stream = False,
    device: Device = "auto",
    threads: Threads = 0,
    quiet: Quiet = False,
) -> None:
    """Make a page of all there is to see and to know of a trained model.

    Curves, confusions, classes, mistakes with what speaks for them, labels that are probably wrong, images that are in
    both sets, calibration, and thresholds. A training run ends with it.

    [bold]Examples[/bold]

    imclass report run1

    imclass report run1/model.tar.gz more-photos --output report-of-more-photos
    """
    options = image_options(
        class_names=class_names,
        image_shape=image_shape,
        image_root=image_root,
        attribute_names=attribute_names,
        label_format=label_format,
        stream=stream,
    )
    if folds == 1:
        raise typer.BadParameter("--folds must be 0, or 2 or more: the images of a fold are judged by the others")
    if source is None:
        _check_report_of_run(Path(run_or_model), output, options)
    else:
        output = _check_report_of_model(output, folds)

    from imclass.reports import report_model, report_run

    with messages.warnings_on_stderr():
        if source is None:
            tell = (lambda words: None) if quiet else messages.note
            page = report_run(Path(run_or_model), folds=folds, device=device, threads=threads, quiet=quiet, tell=tell)
        else:
            assert output is not None, "looked at above"
            page = report_model(place(run_or_model), place(source), output, device=device, threads=threads, **options)
    if not quiet:
        print(page)


def _check_report_of_run(run: Path, output: Path | None, options: "ImageOptions") -> None:
    """Refuse what the run has said already, and a model alone.

    Raises:
        typer.BadParameter: names all such options.
    """
    if run.is_file():
        raise typer.BadParameter(f"{run} is no output folder of a run; with a model file give SOURCE, labelled images")
    usual = {"stream": False, "label_format": LabelFormat.MULTI_HOT.value}
    given = {"output": output, **options}
    unused = ["--" + name.replace("_", "-") for name, value in given.items() if value != usual.get(name)]
    if unused:
        raise typer.BadParameter(f"{', '.join(unused)} belongs to the report of a model on SOURCE")


def _check_report_of_model(output: Path | None, folds: int) -> Path:
    """The folder for the report of a model on SOURCE.

    Raises:
        typer.BadParameter: it is missing, or `--folds` is given.
    """
    if folds:
        raise typer.BadParameter("--folds belongs to the report of a run, whose training images are known")
    if output is None:
        raise typer.BadParameter("give --output DIR, the folder for the report of a model on SOURCE")
    return output
