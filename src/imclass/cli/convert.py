"""`imclass convert`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imclass.cli import messages
from imclass.cli.parameters import ClassNames, ImageShape, Model, Quiet, class_name_list, path_here, shape_triple


class Target(StrEnum):
    """Formats of other programs."""

    MXNET = "mxnet"
    ONNX = "onnx"
    OPENVINO = "openvino"
    TORCH = "torch"


class Dtype(StrEnum):
    """Types of weights."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


def command(
    model: Model,
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="The file to write.", show_default=False, dir_okay=False)
    ],
    *,
    to: Annotated[
        Target,
        typer.Option(
            "--to",
            help="mxnet: model.tar.gz as SageMaker's own algorithm writes it. As programs from pixels to "
            "probabilities: onnx (OUT.onnx), openvino (OUT.xml and OUT.bin), torch (OUT.pt2).",
            show_default=False,
        ),
    ],
    images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="JPEG or PNG file, or a folder of them, to compare the answers on (256 at most); may be given several "
            "times. Without it, on generated images.",
        ),
    ] = None,
    dtype: Annotated[Dtype, typer.Option(help="Type of the weights; float16 is for mxnet only.")] = Dtype.FLOAT32,
    class_names: ClassNames = None,
    image_shape: ImageShape = None,
    quiet: Quiet = False,
) -> None:
    """Write a model in the format of another program.

    What is to be written is run first and must answer as the model does; else nothing is written.

    [bold]Examples[/bold]

    imclass convert run1/model.tar.gz hosted/model.tar.gz --to mxnet

    imclass convert run1/model.tar.gz model.onnx --to onnx --images photos/val
    """
    if dtype is not Dtype.FLOAT32 and to is not Target.MXNET:
        raise typer.BadParameter(f"--dtype {dtype} belongs to --to mxnet")
    shape, names = shape_triple(image_shape), class_name_list(class_names)

    from imclass.cli.predict import find_images
    from imclass.errors import ImageError, listing
    from imclass.inference.conversion import convert

    paths, problems = find_images(images or [])
    if problems:
        raise ImageError(f"some images to compare on are missing:\n{listing(problems)}")
    here = path_here(model, quiet=quiet)
    conversion = convert(here, output, to.value, paths, class_names=names, image_shape=shape, dtype=dtype.value)
    for words in conversion.left_out:
        messages.warning(f"not in the file: {words}")
    if not quiet:
        print(f"model       {', '.join(map(str, conversion.files))}")
        kind = "images" if paths else "generated images"
        print(f"compared    {conversion.images} {kind}, largest difference {conversion.largest_difference:.1e}")
