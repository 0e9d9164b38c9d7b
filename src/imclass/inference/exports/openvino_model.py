"""OpenVINO's intermediate representation: OUT.xml with the graph, OUT.bin with the weights. `rt_info` describes it.

The way leads over ONNX: OpenVINO's converter of PyTorch programs loses the sides of the input, and reports its use to
the maker over the network; the reader of ONNX does neither.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.inference.exports.format import Answer, Files, Format
from imclass.inference.exports.onnx_model import ONNX, model_of
from imclass.inference.exports.program import INPUT, OUTPUT, Metadata, Program

if TYPE_CHECKING:
    import openvino

GRAPH: Final = ".xml"
WEIGHTS: Final = ".bin"
SECTION: Final = "imclass"  # of rt_info, with one entry for each of the metadata


def write(program: Program, metadata: Metadata) -> Files:
    """The bytes of both files; weights stay float32."""
    return files_of(model_of_program(program), metadata)


def model_of_program(program: Program) -> "openvino.Model":
    """The program as OpenVINO holds it; weights are float32, no description is with it."""
    import openvino

    model = openvino.Core().read_model(model_of(program, {}).SerializeToString())
    model.set_friendly_name(SECTION)
    return model


def files_of(model: "openvino.Model", metadata: Metadata) -> Files:
    """The bytes of both files of a model, which gets the description."""
    import openvino

    for name, value in metadata.items():
        model.set_rt_info(value, [SECTION, name])
    # The library writes to files alone.
    with TemporaryDirectory(prefix="imclass-") as folder:
        place = Path(folder) / f"model{GRAPH}"
        openvino.save_model(model, place, compress_to_fp16=False)
        return {suffix: place.with_suffix(suffix).read_bytes() for suffix in (GRAPH, WEIGHTS)}


def open_bytes(files: Files) -> Answer:
    """OpenVINO on the CPU, in float32 also where the processor would rather compute in bfloat16."""
    import openvino

    compiled = compiled_for_cpu(openvino.Core().read_model(files[GRAPH], files[WEIGHTS]), "f32")

    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.array(compiled({INPUT: images})[OUTPUT], np.float32)

    return answer


def compiled_for_cpu(model: "openvino.Model", precision_hint: str) -> "openvino.CompiledModel":
    """A model that computes one batch at a time, of any size, on as many threads as torch uses.

    The threads are not bound to cores: one that shares its core with something else, such as decoding, would keep all
    others waiting.

    Args:
        precision_hint: f32 or bf16, for what is not quantised.
    """
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": precision_hint,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    return openvino.Core().compile_model(model, "CPU", settings)


OPENVINO: Final = Format("OpenVINO", GRAPH, "openvino", ("openvino", *ONNX.packages[:2]), write, open_bytes)
