"""Models as programs of other runtimes: pixels in, probabilities out, everything between inside one file.

FORMATS   by the name that users give
program   what is exported: input, output, and what stands beside it
onnx_model, openvino_model, torch_program   one format each: how it is written, and how it answers
openvino_int8   the same with integers of 8 bits, which answers only about as the model does
openvino_reader   opens what was written for OpenVINO
comparison   whether it answers as the model does
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imclass.artifact import Description
from imclass.errors import ArtifactError
from imclass.inference.exports.comparison import check_answers
from imclass.inference.exports.format import FileKind, Files, Format
from imclass.inference.exports.onnx_model import ONNX
from imclass.inference.exports.openvino_int8 import OPENVINO_INT8
from imclass.inference.exports.openvino_model import OPENVINO
from imclass.inference.exports.program import Program, metadata_of
from imclass.inference.exports.torch_program import TORCH
from imclass.models import ResNet
from imclass.pending_file import PendingFile

FORMATS: Final[Mapping[str, Format]] = MappingProxyType({"onnx": ONNX, "openvino": OPENVINO, "torch": TORCH})

__all__ = ["FORMATS", "OPENVINO_INT8", "FileKind", "Format", "export", "put_in_place"]


def export(
    path: Path, kind: Format, description: Description, network: ResNet, images: NDArray[np.uint8]
) -> tuple[tuple[Path, ...], float]:
    """Write a model in a format, after a look at its answers; files that are there already are replaced.

    Args:
        path: the file, whose name ends as the format wants it.
        network: of the description, in evaluation mode on the CPU.
        images: (N, C, H, W), at least one, as the network sees them.

    Returns:
        The files that were written, `path` first, and the largest difference of a probability.

    Raises:
        ArtifactError: the answers differ, or a file cannot be written; then none is.
    """
    program = Program(network, multi_label=description.multi_label).eval()
    files = kind.write(program, metadata_of(description))
    difference = check_answers(program, kind.open(files), images, where=str(path))
    return put_in_place(path, files), difference


def put_in_place(path: Path, files: Files) -> tuple[Path, ...]:
    """Write all files of a model, or none; those that are there already are replaced.

    Returns:
        Where they are, `path` first.

    Raises:
        ArtifactError: one cannot be written.
    """
    paths = [path.with_suffix(suffix) for suffix in files]
    with ExitStack() as stack:
        # Put in place from the last to the first, so that the file that people open appears when all is there.
        pending = [stack.enter_context(PendingFile(one, ArtifactError)) for one in paths]
        for file, data in zip(pending, files.values(), strict=True):
            file.write(data)
            file.finish()
    return tuple(paths)
