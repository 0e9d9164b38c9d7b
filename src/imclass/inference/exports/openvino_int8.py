"""OpenVINO files whose convolutions and products compute in 8-bit integers.

NNCF quantises the graph: OpenVINO's own tool for it, and the only one whose result OpenVINO fuses completely. (ONNX
Runtime's quantiser works on the ONNX graph with running statistics of its own and without correcting biases.) Weights
get a scale for each output channel, activations one scale each, for all values seen on calibration images. (NNCF's own
choice is the mean of the images' ranges, which cuts off the strongest activations: the probabilities of a ResNet-18 of
20 classes differed by 0.0030 from the float network's in the mean, and differ by 0.0015 now.) Then the shift that
rounding causes in the mean of an output channel is taken back through its bias, if it has one (Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2).

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


def quantised(program: Program, images: NDArray[np.uint8], *, in_float: Sequence[str] = ()) -> "openvino.Model":
    """A program whose weights and activations are 8-bit integers.

    Args:
        program: float32, in evaluation mode on the CPU.
        images: (N, C, H, W), N at least 1, on which the ranges of activations are found.
        in_float: names of layers to leave as they are.
    """
    with _quiet_nncf():
        import nncf
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet

        result: openvino.Model = nncf.quantize(
            model_of_program(program),
            nncf.Dataset([image[np.newaxis] for image in images]),
            preset=nncf.QuantizationPreset.MIXED,  # weights symmetric, activations with a zero point
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(names=list(in_float)) if in_float else None,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
            ),
        )
    return result


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
