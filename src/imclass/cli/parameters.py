"""Options that several commands share, and readers of values that are made of parts."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from imclass.training.model_evaluation import ImageOptions

_MODEL = "Model"
_DATA = "Data"
_RUNNING = "Running"


class LabelFormat(StrEnum):
    """How a manifest writes several labels of one image."""

    MULTI_HOT = "multi-hot"
    CLASS_ID = "class-id"


Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A model.tar.gz, of imclass or of SageMaker, the folder it was unpacked to, or MXNet's "
        "PREFIX-symbol.json; also the address of one.",
        show_default=False,
    ),
]
ClassNames = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Class names, one a line in the order of the class numbers, in place of the model's own.",
        rich_help_panel=_MODEL,
    ),
]
ImageShape = Annotated[
    str | None,
    typer.Option(
        metavar="C,H,W",
        help="Channels, height and width, for a model of MXNet that does not say them.",
        rich_help_panel=_MODEL,
    ),
]
ImageRoot = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder that the paths of a .lst file are relative to; without it the file's own folder.",
        rich_help_panel=_DATA,
    ),
]
AttributeNames = Annotated[
    str | None,
    typer.Option(
        metavar="IMAGE,LABEL",
        help="Names of the image and the label in a manifest's lines; without them the first that fit.",
        rich_help_panel=_DATA,
    ),
]
LabelFormatOption = Annotated[
    LabelFormat,
    typer.Option(
        help="How a manifest writes several labels: [1, 0, 1] is multi-hot, [0, 2] is class-id.",
        rich_help_panel=_DATA,
    ),
]
Stream = Annotated[
    bool,
    typer.Option(
        "--stream",
        help="Read .rec files at s3://, gs:// or https:// addresses as they are needed, without fetching them first.",
        rich_help_panel=_DATA,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda|cuda:N",
        help="Where to compute; auto takes a GPU where there is one.",
        rich_help_panel=_RUNNING,
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        metavar="N", min=0, help="Threads that read and decode images; 0 is one a core.", rich_help_panel=_RUNNING
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.", rich_help_panel=_RUNNING)]


def image_options(
    *,
    class_names: Path | None,
    image_shape: str | None,
    image_root: str | None,
    attribute_names: str | None,
    label_format: LabelFormat,
    stream: bool,
) -> "ImageOptions":
    """What was typed about a model and its labelled images, as `open_model_and_images` takes it.

    Raises:
        DataError: the file of class names cannot be read or is wrong.
        typer.BadParameter: the shape or the names of attributes cannot be understood.
    """
    return {
        "class_names": class_name_list(class_names),
        "image_shape": shape_triple(image_shape),
        "image_root": place_or_none(image_root),
        "attribute_names": attribute_pair(attribute_names),
        "label_format": label_format.value,
        "stream": stream,
    }


def class_name_list(path: Path | None) -> tuple[str, ...] | None:
    """Read a file of class names.

    Raises:
        DataError: the file cannot be read or is wrong.
    """
    if path is None:
        return None
    from imclass.data.class_names import read_class_names

    return read_class_names(path)


def shape_triple(text: str | None) -> tuple[int, int, int] | None:
    """Split "3,224,224".

    Raises:
        typer.BadParameter: not three positive whole numbers.
    """
    if text is None:
        return None
    numbers = [int(part) for part in text.split(",") if part.strip().isdecimal() and part.isascii()]
    if len(numbers) != 3 or text.count(",") != 2 or not all(0 < number < 1 << 31 for number in numbers):
        raise typer.BadParameter(f"{text!r} is not channels, height and width: --image-shape 3,224,224")
    channels, height, width = numbers
    return channels, height, width


def attribute_pair(text: str | None) -> tuple[str, str] | None:
    """Split "source-ref,class".

    Raises:
        typer.BadParameter: not two names.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names):
        raise typer.BadParameter(f"{text!r} is not two names: --attribute-names source-ref,class")
    return names[0], names[1]


def pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Split the NAME=VALUE of an option that is given several times; a value may hold more equals signs.

    Raises:
        typer.BadParameter: no equals sign, no name, no value, or a name given twice.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value:
            raise typer.BadParameter(f"{option} {text!r} is not NAME=VALUE")
        if name in values:
            raise typer.BadParameter(f"{option} {name}=... is given twice: {values[name]!r} and {value!r}")
        values[name] = value
    return values


def named_places(option: str, texts: Sequence[str]) -> dict[str, str | Path]:
    """`pairs` whose values are paths or addresses."""
    return {name: place(value) for name, value in pairs(option, texts).items()}


def place(text: str) -> str | Path:
    """A path, or the text of an address, whose slashes a path would join."""
    return text if "://" in text else Path(text)


def place_or_none(text: str | None) -> str | Path | None:
    """`place` of an option that may be missing."""
    return None if text is None else place(text)


def path_here(text: str, *, quiet: bool = False) -> Path:
    """A path on this machine; what is at an address is fetched."""
    if "://" not in text:
        return Path(text)
    from imclass.data.location import local_path

    return local_path(text, quiet=quiet)


def path_here_or_none(text: str | None, *, quiet: bool = False) -> Path | None:
    """`path_here` of an option that may be missing."""
    return None if text is None else path_here(text, quiet=quiet)
