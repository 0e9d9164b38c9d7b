"""ONNX: one file with weights inside; `metadata_props` describe it. ONNX Runtime answers."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.inference.exports.format import Answer, Files, Format
from imclass.inference.exports.program import BATCH, INPUT, OUTPUT, Metadata, Program
from imclass.inference.exports.quiet import notes_for_developers_left_out

if TYPE_CHECKING:
    from onnx import ModelProto

SUFFIX: Final = ".onnx"
OPSET: Final = 20  # that of the exporter's own operators, so that nothing has to be rewritten
ERRORS_ONLY: Final = 3  # of ONNX Runtime's levels


def write(program: Program, metadata: Metadata) -> Files:
    """The bytes of the file."""
    return {SUFFIX: model_of(program, metadata).SerializeToString()}


def model_of(program: Program, metadata: Metadata) -> "ModelProto":
    """The model; the other formats that come from ONNX begin here."""
    with notes_for_developers_left_out():
        exported = torch.onnx.export(
            program,
            (program.example(),),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: BATCH}},
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            dynamo=True,
        )
    assert exported is not None
    model = exported.model_proto
    _forget_the_source(model)
    for name, value in metadata.items():
        model.metadata_props.add(key=name, value=value)
    return model


def _forget_the_source(model: "ModelProto") -> None:
    """Take out the exporter's notes, which name the lines of Python, with their paths, that each node comes from."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")


def open_bytes(files: Files) -> Answer:
    """ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = torch.get_num_threads()
    session: Any = onnxruntime.InferenceSession(files[SUFFIX], options, providers=["CPUExecutionProvider"])

    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        [probabilities] = session.run([OUTPUT], {INPUT: images})
        return np.asarray(probabilities)

    return answer


ONNX: Final = Format("ONNX", SUFFIX, "onnx", ("onnx", "onnxscript", "onnxruntime"), write, open_bytes)
