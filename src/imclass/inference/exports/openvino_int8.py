"""OpenVINO files whose convolutions and products compute in 8-bit integers.

NNCF quantises the graph: OpenVINO's own tool for it, and the only one whose result OpenVINO fuses completely. (ONNX
Runtime's quantiser works on the ONNX graph with running statistics of its own and without correcting biases.) Weights
get a scale for each output channel, activations one scale each, from the ranges seen on calibration images; then the
shift that rounding causes in the mean of every output channel is taken back through the biases (Nagel et al.,
"Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2).

The same images in the same order give the same numbers and the same graph; OpenVINO numbers what has no name in it, on
and on in a process.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from imclass.inference.exports.format import FileKind
from imclass.inference.exports.openvino_model import OPENVINO, model_of_program
from imclass.inference.exports.program import Program

if TYPE_CHECKING:
    import openvino

OPENVINO_INT8: Final = FileKind("OpenVINO int8", OPENVINO.suffix, "int8", (*OPENVINO.packages, "nncf"))

TELEMETRY_OFF: Final = "NNCF_CI"  # a variable that NNCF looks at while it is imported


def quantised(
    program: Program, images: NDArray[np.uint8], *, keep_first_and_last_in_float: bool = False
) -> "openvino.Model":
    """A program whose weights and activations are 8-bit integers.

    Args:
        program: float32, in evaluation mode on the CPU.
        images: (N, C, H, W), N at least 1, on which the ranges of activations are found.
        keep_first_and_last_in_float: leave the first convolution and the classifier as they are; they are the layers
            that suffer most, and take a small part of the time.
    """
    model = model_of_program(program)
    ignored = first_and_last(model) if keep_first_and_last_in_float else []
    with _quiet_nncf():
        import nncf

        result: openvino.Model = nncf.quantize(
            model,
            nncf.Dataset([image[np.newaxis] for image in images]),
            preset=nncf.QuantizationPreset.MIXED,  # weights symmetric, activations with a zero point
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(names=ignored) if ignored else None,
        )
    return result


def first_and_last(model: "openvino.Model") -> Sequence[str]:
    """The names of the operations of the first convolution and of the classifier."""
    operations = [(each.get_type_name(), each.get_friendly_name()) for each in model.get_ordered_ops()]
    first = next(name for kind, name in operations if kind == "Convolution")
    last = next(name for kind, name in reversed(operations) if kind == "MatMul")
    return [first, last]


@contextmanager
def _quiet_nncf() -> Iterator[None]:
    """In the block, NNCF prints no bars, tells only of errors, and reports its use to nobody over the network."""
    import rich

    console, logger_class = rich.get_console(), logging.getLoggerClass()
    was_quiet, consent = console.quiet, os.environ.get(TELEMETRY_OFF)
    os.environ[TELEMETRY_OFF] = "1"
    console.quiet = True
    try:
        import nncf  # its import sets the class of all loggers and its own level  # noqa: F401

        logger = logging.getLogger("nncf")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
    finally:
        logging.setLoggerClass(logger_class)
        console.quiet = was_quiet
        if consent is None:
            del os.environ[TELEMETRY_OFF]
        else:
            os.environ[TELEMETRY_OFF] = consent
