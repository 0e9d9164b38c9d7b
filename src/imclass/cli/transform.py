"""`imclass transform`."""

import time
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imclass.cli import messages
from imclass.cli.exit_status import USER_ERROR
from imclass.cli.parameters import (
    ClassNames,
    Device,
    ImageRoot,
    ImageShape,
    Model,
    Quiet,
    Threads,
    class_name_list,
    place,
    place_or_none,
    shape_triple,
)
from imclass.cli.progress_bar import progress_bar
from imclass.memory import keep_memory

if TYPE_CHECKING:
    from imclass.inference.transform import Shard, Summary

_RESULTS = "Results"
_RUNNING = "Running"
_DATA = "Data"

LINE_SECONDS = 30.0  # between progress lines where there is no terminal


class FormatName(StrEnum):
    """Forms of the output."""

    OUT = "out"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class SplitTypeName(StrEnum):
    """What a file of the input is."""

    NONE = "None"
    RECORDIO = "RecordIO"


class AssembleWithName(StrEnum):
    """What follows each result."""

    NONE = "None"
    LINE = "Line"


class JoinSourceName(StrEnum):
    """What a result is joined with."""

    NONE = "None"
    INPUT = "Input"


def command(
    model: Model,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="Images, which need no labels: a folder with images at any depth, a .rec file, a .lst file, or a "
            "manifest; also the address of one.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT",
            help="Folder for the results, or the s3:// or gs:// address of one in a bucket.",
            show_default=False,
        ),
    ],
    *,
    format: Annotated[
        FormatName,
        typer.Option(
            help="out: KEY.out for each file of INPUT; the others: one file, predictions.jsonl, .csv or .parquet.",
            rich_help_panel=_RESULTS,
        ),
    ] = FormatName.OUT,
    accept: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="Content type of a result, as in a request to the server: application/json, "
            "application/json;verbose or application/jsonlines. Without it, an object with the key prediction.",
            rich_help_panel=_RESULTS,
        ),
    ] = None,
    assemble_with: Annotated[
        AssembleWithName,
        typer.Option(
            help="Line puts a line end behind each result of the format out.",
            show_default=False,
            rich_help_panel=_RESULTS,
        ),
    ] = AssembleWithName.NONE,
    join_source: Annotated[
        JoinSourceName,
        typer.Option(
            help="Input puts what INPUT says of an image beside its result.",
            show_default=False,
            rich_help_panel=_RESULTS,
        ),
    ] = JoinSourceName.NONE,
    output_filter: Annotated[
        str,
        typer.Option(
            metavar="JSONPATH",
            help="What to keep of a result, after the join, as SageMaker's OutputFilter, say '$.SageMakerOutput'.",
            show_default=False,
            rich_help_panel=_RESULTS,
        ),
    ] = "$",
    failed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="List images that fail here, in place of OUTPUT/failed.jsonl.",
            rich_help_panel=_RESULTS,
        ),
    ] = None,
    split_type: Annotated[
        SplitTypeName | None,
        typer.Option(
            help="What a file is: None is one image, RecordIO many. Without it, RecordIO for .rec files.",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = None,
    image_root: ImageRoot = None,
    image_attribute: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Attribute of a manifest's lines that names the image; without it the first that ends in -ref.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    input_filter: Annotated[
        str,
        typer.Option(
            metavar="JSONPATH",
            help="What speaks of the image in a manifest's line, as SageMaker's InputFilter, say '$.picture.file'.",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = "$",
    class_names: ClassNames = None,
    image_shape: ImageShape = None,
    num_shards: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Number of processes, here and elsewhere, that share the work; under torchrun they are known.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    shard_index: Annotated[
        int | None,
        typer.Option(metavar="I", min=0, help="Number of this one, from 0.", rich_help_panel=_RUNNING),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Work on a Ray cluster, with the address HOST:PORT or auto; a task takes as many cores as --threads "
            "(1), and a GPU where there is one.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Begin anew, and replace the results that are there.", rich_help_panel=_RUNNING),
    ] = False,
    work_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Folder for what is needed to go on; without it a hidden one beside OUTPUT, or one in the cache when "
            "OUTPUT is in a bucket.",
            rich_help_panel=_RUNNING,
        ),
    ] = None,
    backend: Annotated[
        str, typer.Option(metavar="NAME", help="What computes, as for serve.", rich_help_panel=_RUNNING)
    ] = "torch",
    precision: Annotated[
        str,
        typer.Option(
            metavar="float32|bfloat16",
            help="float32 gives validation's own probabilities; bfloat16 is faster where the hardware has it.",
            rich_help_panel=_RUNNING,
        ),
    ] = "float32",
    batch_size: Annotated[
        int, typer.Option(metavar="N", min=1, help="Images at a time.", rich_help_panel=_RUNNING)
    ] = 64,
    device: Device = "auto",
    threads: Threads = 0,
    quiet: Quiet = False,
) -> None:
    """Write the probabilities of all images of a data set to files, as SageMaker's batch transform does.

    Images that cannot be read are listed in failed.jsonl, all others get results, and the exit status is 2.
    Interrupted work is kept: the same command does what is missing.

    [bold]Examples[/bold]

    imclass transform run1/model.tar.gz photos results

    imclass transform run1/model.tar.gz val.rec results --format csv

    torchrun --nproc-per-node 8 -m imclass transform run1/model.tar.gz photos results --format parquet
    """
    shape, names = shape_triple(image_shape), class_name_list(class_names)
    _refuse_automatic(backend, precision)
    if ray is not None and (num_shards is not None or shard_index is not None):
        raise typer.BadParameter("--ray shares out the work itself: leave out --num-shards and --shard-index")

    keep_memory(of_all_threads=True)
    from imclass.data.unlabelled import SplitType
    from imclass.inference.transform import AssembleWith, Computing, Format, JoinSource, Request, transform

    request = Request(
        model=place(model),
        source=place(source),
        output=place(output),
        format=Format(format),
        accept=accept,
        split_type=None if split_type is None else SplitType(split_type),
        assemble_with=AssembleWith(assemble_with),
        join_source=JoinSource(join_source),
        input_filter=input_filter,
        output_filter=output_filter,
        image_root=place_or_none(image_root),
        image_attribute=image_attribute,
        class_names=names,
        image_shape=shape,
        failed=failed,
        work_dir=work_dir,
        computing=Computing(backend, precision, device, batch_size, threads),
    )
    with messages.warnings_on_stderr(), Progress(quiet) as progress:
        if ray is None:
            summary = transform(request, progress, shard=_shard(num_shards, shard_index), restart=restart)
        else:
            from imclass.inference.transform.ray_cluster import transform_on_ray

            summary = transform_on_ray(request, ray, progress, restart=restart)
    _report(summary, output, quiet)
    if summary.failures:
        raise typer.Exit(USER_ERROR)


def _refuse_automatic(backend: str, precision: str) -> None:
    """Processes, and attempts after an interruption, could choose differently.

    Raises:
        typer.BadParameter: backend or precision is auto.
    """
    for option, value in (("--backend", backend), ("--precision", precision)):
        if value == "auto":
            raise typer.BadParameter(f"{option} auto could choose differently after an interruption: name one")


def _shard(num_shards: int | None, shard_index: int | None) -> "Shard | None":
    """The share that was asked for.

    Raises:
        typer.BadParameter: one of the two is missing.
        UserError: there is no such shard.
    """
    if num_shards is None and shard_index is None:
        return None
    if num_shards is None or shard_index is None:
        raise typer.BadParameter("--num-shards and --shard-index belong together")
    from imclass.inference.transform import Shard

    return Shard(shard_index, num_shards)


class Progress:
    """Shows how far this process has come: a bar on a terminal, elsewhere a line now and then.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet or not messages.is_main_process()
        self._stack = ExitStack()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def begin(self, images: int, already: int) -> None:
        """So many images are to be done, of which some are done already."""
        import sys

        self._images, self._done, self._already = images, already, already
        self._began = self._last_line = time.monotonic()
        self._has_bar = sys.stderr.isatty()
        if already and not self._quiet:
            messages.note(f"{already} of {images} images have results already")
        self._bar = self._stack.enter_context(progress_bar(images, self._quiet, already=already, unit="images"))

    def advance(self, images: int) -> None:
        """So many more are done."""
        self._done += images
        self._bar(images)
        now = time.monotonic()
        if not self._quiet and not self._has_bar and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            rate = (self._done - self._already) / (now - self._began)
            left = (self._images - self._done) / rate
            messages.note(f"{self._done} of {self._images} images, {rate:,.1f} images/s, {left:,.0f} s left")


def _report(summary: "Summary", output: str, quiet: bool) -> None:
    from imclass.errors import listing

    if not messages.is_main_process():
        return
    if summary.failures:
        problems = [f"{failure.key}: {failure.reason}" for failure in summary.failures]
        messages.error(f"no result for {len(problems)} of {summary.images} images\n{listing(problems)}")
    if quiet:
        return
    if summary.waiting_pieces:
        messages.note(f"{summary.waiting_pieces} parts of the work are still to be done by other shards")
    print(messages.tab_separated("figure", "images", summary.images))
    print(messages.tab_separated("figure", "predicted", summary.predicted))
    print(messages.tab_separated("figure", "failed", len(summary.failures)))
    if summary.predicted:
        print(messages.tab_separated("figure", "images_per_second", f"{summary.predicted / summary.seconds:.1f}"))
    print(messages.tab_separated("output", output, "waiting" if summary.waiting_pieces else "complete"))
