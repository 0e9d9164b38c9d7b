"""`imclass convert`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imclass.cli import messages
from imclass.cli.parameters import (
    AttributeNames,
    ClassNames,
    ImageRoot,
    ImageShape,
    LabelFormat,
    LabelFormatOption,
    Model,
    Quiet,
    attribute_pair,
    class_name_list,
    path_here,
    place,
    place_or_none,
    shape_triple,
)

if TYPE_CHECKING:
    from imclass.inference.conversion import Conversion
    from imclass.inference.quantisation import Quantisation

_INT8 = "8-bit integers (openvino-int8)"


class Target(StrEnum):
    """Formats of other programs."""

    MXNET = "mxnet"
    ONNX = "onnx"
    OPENVINO = "openvino"
    OPENVINO_INT8 = "openvino-int8"
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
            "probabilities: onnx (OUT.onnx), openvino (OUT.xml and OUT.bin), torch (OUT.pt2). openvino-int8 "
            "computes in 8-bit integers.",
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
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Labelled images: on some, ranges of numbers are found; on the others, the validation part, accuracy "
            "is measured before and after. A folder with train and val is split so already.",
            rich_help_panel=_INT8,
            show_default=False,
        ),
    ] = None,
    max_accuracy_loss: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            min=0,
            max=100,
            help="Percentage points of accuracy that may be lost (0.5); when more are, nothing is written.",
            rich_help_panel=_INT8,
            show_default=False,
        ),
    ] = None,
    bad_image_limit: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            help="Share of the images of SOURCE that may be unreadable.",
            rich_help_panel=_INT8,
        ),
    ] = 0.01,
    image_root: ImageRoot = None,
    attribute_names: AttributeNames = None,
    label_format: LabelFormatOption = LabelFormat.MULTI_HOT,
    class_names: ClassNames = None,
    image_shape: ImageShape = None,
    quiet: Quiet = False,
) -> None:
    """Write a model in the format of another program.

    What is to be written is run first and must answer as the model does; else nothing is written.

    [bold]Examples[/bold]

    imclass convert run1/model.tar.gz hosted/model.tar.gz --to mxnet

    imclass convert run1/model.tar.gz model.onnx --to onnx --images photos/val

    imclass convert run1/model.tar.gz small.xml --to openvino-int8 --calibrate photos
    """
    _check_together(to, dtype, calibrate, max_accuracy_loss, images)
    shape, names = shape_triple(image_shape), class_name_list(class_names)
    if calibrate is None:
        from imclass.inference.conversion import convert

        paths = _images_to_compare_on(images or [])
        here = path_here(model, quiet=quiet)
        conversion = convert(here, output, to.value, paths, class_names=names, image_shape=shape, dtype=dtype.value)
        for words in conversion.left_out:
            messages.warning(f"not in the file: {words}")
        if not quiet:
            _print_conversion(conversion, "images" if paths else "generated images")
    else:
        from imclass.inference.quantisation import MAX_ACCURACY_LOSS, quantise

        quantisation = quantise(
            path_here(model, quiet=quiet),
            output,
            place(calibrate),
            max_accuracy_loss=MAX_ACCURACY_LOSS if max_accuracy_loss is None else max_accuracy_loss,
            class_names=names,
            image_shape=shape,
            image_root=place_or_none(image_root),
            attribute_names=attribute_pair(attribute_names),
            label_format=label_format.value,
            bad_image_limit=bad_image_limit,
        )
        if not quiet:
            _print_quantisation(quantisation)


def _check_together(
    to: Target, dtype: Dtype, calibrate: str | None, max_accuracy_loss: float | None, images: list[Path] | None
) -> None:
    """Refuse options that do not go together.

    Raises:
        typer.BadParameter: names the first of them.
    """
    if dtype is not Dtype.FLOAT32 and to is not Target.MXNET:
        raise typer.BadParameter(f"--dtype {dtype} belongs to --to mxnet")
    if (to is Target.OPENVINO_INT8) != (calibrate is not None):
        raise typer.BadParameter("--to openvino-int8 and --calibrate SOURCE belong together")
    if max_accuracy_loss is not None and calibrate is None:
        raise typer.BadParameter("--max-accuracy-loss belongs to --to openvino-int8")
    if images and calibrate is not None:
        raise typer.BadParameter("--images belongs to the other formats: --calibrate has the images to compare on")


def _images_to_compare_on(places: list[Path]) -> list[Path]:
    """The images of files and folders.

    Raises:
        ImageError: names all that are missing.
    """
    from imclass.cli.predict import find_images
    from imclass.errors import ImageError, listing

    paths, problems = find_images(places)
    if problems:
        raise ImageError(f"some images to compare on are missing:\n{listing(problems)}")
    return paths


def _print_conversion(conversion: "Conversion", kind: str) -> None:
    print(f"model       {', '.join(map(str, conversion.files))}")
    print(f"compared    {conversion.images} {kind}, largest difference {conversion.largest_difference:.1e}")


def _print_quantisation(quantisation: "Quantisation") -> None:
    print(f"model       {', '.join(map(str, quantisation.files))}")
    print(f"calibrated  on {quantisation.calibration_images} images")
    print(f"accuracy    {quantisation.float_accuracy:.4f} before, {quantisation.int8_accuracy:.4f} after, ", end="")
    print(f"{quantisation.accuracy_loss:.2f} points lost, on {quantisation.validation_images} other images")
    if quantisation.layers_in_float:
        print(f"in float    {len(quantisation.layers_in_float)} of {quantisation.layers} layers, ", end="")
        print(f"because with them in integers too much was lost: {', '.join(quantisation.layers_in_float)}")
