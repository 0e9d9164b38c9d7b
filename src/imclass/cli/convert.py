"""`imclass convert`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imclass.cli import messages
from imclass.cli.parameters import ImageShape, Model, Quiet, path_here, shape_triple


class Target(StrEnum):
    """Formats of other programs."""

    MXNET = "mxnet"


def command(
    model: Model,
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="The file to write.", show_default=False, dir_okay=False)
    ],
    *,
    to: Annotated[
        Target,
        typer.Option("--to", help="mxnet: model.tar.gz as SageMaker's own algorithm writes it.", show_default=False),
    ],
    images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="JPEG or PNG file, or a folder of them, to compare the answers on (256 at most); may be given several "
            "times. Without it, on generated images.",
        ),
    ] = None,
    image_shape: ImageShape = None,
    quiet: Quiet = False,
) -> None:
    """Write a model in the format of another program.

    What is to be written is read back and must answer as the model does, within 1e-5; else nothing is written.

    [bold]Examples[/bold]

    imclass convert run1/model.tar.gz hosted/model.tar.gz --to mxnet

    imclass convert run1/model.tar.gz hosted/model.tar.gz --to mxnet --images photos/val
    """
    shape = shape_triple(image_shape)

    from imclass.cli.predict import find_images
    from imclass.errors import ImageError, listing
    from imclass.inference.conversion import convert_to_mxnet

    paths, problems = find_images(images or [])
    if problems:
        raise ImageError(f"some images to compare on are missing:\n{listing(problems)}")
    assert to is Target.MXNET
    conversion = convert_to_mxnet(path_here(model, quiet=quiet), output, paths, image_shape=shape)
    for words in conversion.left_out:
        messages.warning(f"not in the file: {words}")
    if not quiet:
        print(f"model       {conversion.output}")
        print(f"compared    {conversion.images} images, largest difference {conversion.largest_difference:.1e}")
