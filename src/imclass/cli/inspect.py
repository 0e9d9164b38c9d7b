"""`imclass inspect`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imclass.cli import messages
from imclass.cli.parameters import (
    AttributeNames,
    ImageRoot,
    LabelFormat,
    LabelFormatOption,
    Quiet,
    Threads,
    attribute_pair,
    path_here,
    path_here_or_none,
)
from imclass.cli.progress_bar import progress_bar

if TYPE_CHECKING:
    from imclass.cli.inspection_text import Inspection
    from imclass.data import Source
    from imclass.images.inspection import SourceReport
    from imclass.images.survey import Survey
    from imclass.training.suggestions import Suggestion


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Labelled images: a folder with one folder a class, a .rec file, a .lst file, or a manifest; also the "
            "address of one.",
            show_default=False,
        ),
    ],
    second: Annotated[
        str | None,
        typer.Argument(metavar="[SOURCE2]", help="Validation images, to find what is in both.", show_default=False),
    ] = None,
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
    html_file: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            dir_okay=False,
            help="Write a page with thumbnails, in one file.",
            rich_help_panel="Running",
        ),
    ] = None,
    num_classes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Number of classes that labels must be below; without it that of the class names, if there are any.",
            rich_help_panel="Data",
        ),
    ] = None,
    image_root: ImageRoot = None,
    second_image_root: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The same for SOURCE2; without it that of SOURCE.", rich_help_panel="Data"),
    ] = None,
    attribute_names: AttributeNames = None,
    label_format: LabelFormatOption = LabelFormat.MULTI_HOT,
    threads: Threads = 0,
    quiet: Quiet = False,
) -> None:
    """Look at every image of a data set before training on it.

    Counts classes, sizes, channels and formats; names images that are unreadable, truncated, there twice or nearly so,
    and labels that cannot be; with two data sets, names what is in both; and suggests hyperparameters.

    [bold]Examples[/bold]

    imclass inspect photos

    imclass inspect train.rec val.rec --json report.json --html report.html
    """
    attributes = attribute_pair(attribute_names)
    with messages.warnings_on_stderr():
        sources = _open(
            path_here(source, quiet=quiet),
            path_here_or_none(second, quiet=quiet),
            image_root=path_here_or_none(image_root, quiet=quiet),
            second_image_root=path_here_or_none(second_image_root, quiet=quiet),
            attribute_names=attributes,
            label_format=label_format.value,
        )
        with progress_bar(sum(map(len, sources)), quiet) as progress:
            from imclass.images.survey import survey

            seen = [survey(each, threads=threads, progress=progress) for each in sources]
        inspection = _inspection(seen, num_classes)
    to_stdout = json_file is not None and str(json_file) == "-"
    if to_stdout:
        print(_json(inspection))
    elif json_file is not None:
        _write(json_file, _json(inspection) + "\n")
    if html_file is not None:
        from imclass.cli.inspection_page import page

        _write(html_file, page(inspection, sources))
    if not quiet and not to_stdout:
        _show(inspection)


def _write(path: Path, text: str) -> None:
    from imclass.pending_file import PendingFile

    with PendingFile(path) as file:
        file.write(text.encode())


def _open(path: Path, second: Path | None, *, second_image_root: Path | None, **options: Any) -> "list[Source]":
    """Open one data set or two with one class table; a folder of training and validation data is two."""
    from imclass.data import find_split_folders, open_pair, open_source

    splits = find_split_folders(path) if second is None else None
    if splits is not None:
        path, second = splits
    if second is not None:
        return list(open_pair(path, second, validation_image_root=second_image_root, **options))
    if second_image_root is not None:
        raise typer.BadParameter("--second-image-root is for SOURCE2, and there is none")
    return [open_source(path, **options)]


def _inspection(seen: "list[Survey]", num_classes: int | None) -> "Inspection":
    from imclass.cli.inspection_text import Inspection
    from imclass.images.inspection import overlap, report, untrained_classes

    reports = tuple(report(each, num_classes) for each in seen)
    shared = overlap(*seen) if len(seen) == 2 else ()
    untrained = untrained_classes(*reports) if len(seen) == 2 else ()
    return Inspection(reports, shared, untrained, _suggestion(seen[0], reports[0]))


def _suggestion(seen: "Survey", report: "SourceReport") -> "Suggestion | None":
    """What suits the first data set; None if none of its images can be read."""
    from imclass.device import choose_device
    from imclass.training.choices import facts_of
    from imclass.training.suggestions import suggest

    sizes = list(zip(seen.widths[seen.readable].tolist(), seen.heights[seen.readable].tolist(), strict=True))
    if not sizes:
        return None
    facts = facts_of(sizes, seen.source, on_gpu=choose_device("auto").type == "cuda")
    return suggest(facts, seen.source, tuple(entry.images for entry in report.classes))


def _json(inspection: "Inspection") -> str:
    suggestion = inspection.suggestion
    content = {
        "sources": [each.model_dump(mode="json") for each in inspection.sources],
        "shared": [each.model_dump(mode="json") for each in inspection.shared],
        "untrained_classes": [each.model_dump(mode="json") for each in inspection.untrained],
        "suggestion": suggestion.model_dump(mode="json") if suggestion is not None else None,
    }
    return json.dumps(content, indent=2)


def _show(inspection: "Inspection") -> None:
    from imclass.cli import inspection_text

    if messages.to_terminal():
        inspection_text.print_tables(inspection)
    else:
        sys.stdout.writelines(f"{line}\n" for line in inspection_text.plain_lines(inspection))
