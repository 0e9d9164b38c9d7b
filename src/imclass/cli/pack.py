"""`imclass pack`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imclass.cli import messages
from imclass.cli.parameters import (
    AttributeNames,
    ImageRoot,
    LabelFormat,
    LabelFormatOption,
    Quiet,
    attribute_pair,
    path_here,
    path_here_or_none,
)
from imclass.cli.progress_bar import progress_bar

if TYPE_CHECKING:
    from imclass.data.packing_list import PackingList, Part
    from imclass.images.packing import PackSettings
    from imclass.images.reencode import Encoding

_IMAGES = "Images"
_LISTS = "Lists"
_RUNNING = "Running"


class EncodingName(StrEnum):
    """File formats that images can be made anew in."""

    JPG = ".jpg"
    PNG = ".png"


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="What to pack: a folder with one folder a class, a .lst file, a manifest, or .rec files; also the "
            "address of one.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            metavar="OUT.rec",
            dir_okay=False,
            help="The file to write; OUT.lst and OUT.idx are written beside it.",
            show_default=False,
        ),
    ],
    list_only: Annotated[
        bool, typer.Option("--list", help="Write the list alone, no records.", rich_help_panel=_LISTS)
    ] = False,
    recursive: Annotated[
        bool | None,
        typer.Option(
            "--recursive/--no-recursive",
            help="How a folder is read. Without the option: one class for each folder in it, with all images below. "
            "--recursive: one class for each folder at any depth that holds images, as im2rec. --no-recursive: the "
            "images that lie in it, with the label 0.",
            rich_help_panel=_LISTS,
        ),
    ] = None,
    shuffle: Annotated[
        bool | None,
        typer.Option(
            "--shuffle/--no-shuffle",
            help="Put the images in im2rec's random order. Without the option a folder is shuffled, a list is not.",
            rich_help_panel=_LISTS,
        ),
    ] = None,
    chunks: Annotated[int, typer.Option(metavar="N", min=1, help="Divide into N files.", rich_help_panel=_LISTS)] = 1,
    train_ratio: Annotated[
        float,
        typer.Option(metavar="SHARE", min=0, max=1, help="Share for OUT_train.rec.", rich_help_panel=_LISTS),
    ] = 1.0,
    test_ratio: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            help="Share for OUT_test.rec; what is left goes to OUT_val.rec.",
            rich_help_panel=_LISTS,
        ),
    ] = 0.0,
    image_root: ImageRoot = None,
    attribute_names: AttributeNames = None,
    label_format: LabelFormatOption = LabelFormat.MULTI_HOT,
    resize: Annotated[
        int,
        typer.Option(
            metavar="PIXELS", min=0, help="Length of the shorter side; 0 keeps the size.", rich_help_panel=_IMAGES
        ),
    ] = 0,
    center_crop: Annotated[
        bool,
        typer.Option("--center-crop", help="Cut to the centre square, before resizing.", rich_help_panel=_IMAGES),
    ] = False,
    encoding: Annotated[
        EncodingName, typer.Option(help="Format of the images in the records.", rich_help_panel=_IMAGES)
    ] = EncodingName.JPG,
    quality: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="JPEG quality, 1 to 100 (95 without the option), or PNG compression, 0 to 9 (9).",
            show_default=False,
            rich_help_panel=_IMAGES,
        ),
    ] = None,
    full_decode: Annotated[
        bool,
        typer.Option(
            "--full-decode",
            help="Decode JPEGs at full size before resizing, as im2rec; slower.",
            rich_help_panel=_IMAGES,
        ),
    ] = False,
    pass_through: Annotated[
        bool, typer.Option("--pass-through", help="Store the files as they are.", rich_help_panel=_IMAGES)
    ] = False,
    pack_label: Annotated[
        bool,
        typer.Option("--pack-label", help="Store all labels of an image, not only the first.", rich_help_panel=_IMAGES),
    ] = False,
    num_thread: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Threads that read and encode images; 0 is one a core.", rich_help_panel=_RUNNING
        ),
    ] = 0,
    bad_image_limit: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            help="Share of the images that may be unreadable and are left out; 0 stops at the first.",
            rich_help_panel=_RUNNING,
        ),
    ] = 0.01,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart", help="Begin anew, without what an interrupted attempt has done.", rich_help_panel=_RUNNING
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Pack images into RecordIO: OUT.rec, OUT.idx and OUT.lst, as MXNet's im2rec.py writes them.

    Interrupted work is kept: the same command goes on with it.

    [bold]Examples[/bold]

    imclass pack photos --output photos.rec --resize 256

    imclass pack photos --output photos.rec --pass-through --train-ratio 0.8

    imclass pack photos.lst --image-root photos --output photos.rec --pass-through --pack-label
    """
    if output.suffix not in ((".rec", ".lst") if list_only else (".rec",)):
        raise typer.BadParameter(f"--output {str(output)!r} must end in .rec")
    chosen = None if pass_through else _encoding(resize, center_crop, quality, encoding, full_decode)
    if pass_through and (resize or center_crop or quality is not None or full_decode):
        raise typer.BadParameter(
            "--pass-through stores files as they are: it does not go with --resize, --center-crop, --quality and "
            "--full-decode"
        )
    attributes = attribute_pair(attribute_names)

    from imclass.data.packing_list import divide, packing_list
    from imclass.images.packing import PackSettings, refuse_to_replace_source, write_lists

    with messages.warnings_on_stderr():
        packing = packing_list(
            path_here(source, quiet=quiet),
            recursive=recursive,
            shuffle=shuffle,
            image_root=path_here_or_none(image_root, quiet=quiet),
            attribute_names=attributes,
            label_format=label_format.value,
        )
        parts = divide(packing.order, chunks=chunks, train_ratio=train_ratio, test_ratio=test_ratio)
        if not list_only:
            refuse_to_replace_source(packing, parts, output)
        lists = write_lists(packing, parts, output)
        if not quiet:
            _print_classes(packing)
        if list_only:
            _print_lists(lists, quiet)
            return
        settings = PackSettings(chosen, pack_label)
        _pack(packing, parts, output, settings, bad_image_limit, num_thread, restart, quiet)


def _encoding(
    resize: int, center_crop: bool, quality: int | None, encoding: EncodingName, full_decode: bool
) -> "Encoding":
    from imclass.images.reencode import DEFAULT_QUALITY, Encoding

    try:
        return Encoding(
            resize=resize,
            center_crop=center_crop,
            quality=DEFAULT_QUALITY[encoding.value] if quality is None else quality,
            encoding=encoding.value,
            full_decode=full_decode,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _pack(
    packing: "PackingList",
    parts: "list[Part]",
    output: Path,
    settings: "PackSettings",
    bad_image_limit: float,
    threads: int,
    restart: bool,
    quiet: bool,
) -> None:
    from imclass.images import BadImages
    from imclass.images.packing import pack

    label_count = packing.source.labels.shape[1]
    if label_count > 1 and not settings.pack_label:
        messages.warning(
            f"the images have {label_count} labels each and only the first is stored; --pack-label stores all"
        )
    bad_images = BadImages(bad_image_limit)
    with progress_bar(len(packing.order), quiet) as progress:
        packed = pack(
            packing,
            parts,
            output,
            settings,
            bad_images=bad_images,
            threads=threads,
            go_on=not restart,
            progress=progress,
        )
    if quiet:
        return
    for file in packed:
        if file.kept:
            messages.note(f"{file.kept} of {file.images + file.unreadable} images of {file.path} were done already")
        print(messages.tab_separated("packed", file.path, file.images, file.unreadable))


def _print_classes(packing: "PackingList") -> None:
    import numpy as np

    names = packing.source.class_names
    if names is None or packing.source.labels.shape[1] > 1:
        return
    counts = np.bincount(packing.source.labels[:, 0].astype(np.int64), minlength=len(names))
    for number, (name, count) in enumerate(zip(names, counts, strict=True)):
        print(messages.tab_separated("class", name, number, count))


def _print_lists(lists: list[Path], quiet: bool) -> None:
    if not quiet:
        for path in lists:
            print(messages.tab_separated("list", path))
