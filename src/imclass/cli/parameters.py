"""Options that several commands share, and readers of values that are made of parts."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_DATA = "Data"
_RUNNING = "Running"


class LabelFormat(StrEnum):
    """How a manifest writes several labels of one image."""

    MULTI_HOT = "multi-hot"
    CLASS_ID = "class-id"


Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model.tar.gz, or the folder it was unpacked to.", show_default=False)
]
ImageRoot = Annotated[
    Path | None,
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


def named_paths(option: str, texts: Sequence[str]) -> dict[str, Path]:
    """`pairs` whose values are paths."""
    return {name: Path(value) for name, value in pairs(option, texts).items()}
