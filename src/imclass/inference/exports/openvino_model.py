"""OpenVINO's intermediate representation: OUT.xml with the graph, OUT.bin with the weights. `rt_info` describes it.

The way leads over ONNX: OpenVINO's converter of PyTorch programs loses the sides of the input, and reports its use to
the maker over the network; the reader of ONNX does neither.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.inference.exports.format import Answer, Files, Format
from imclass.inference.exports.onnx_model import ONNX, model_of
from imclass.inference.exports.program import INPUT, OUTPUT, Metadata, Program

GRAPH: Final = ".xml"
WEIGHTS: Final = ".bin"
SECTION: Final = "imclass"  # of rt_info, with one entry for each of the metadata


def write(program: Program, metadata: Metadata) -> Files:
    """The bytes of both files; weights stay float32."""
    import openvino

    model = openvino.Core().read_model(model_of(program, {}).SerializeToString())
    model.set_friendly_name(SECTION)
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

    core = openvino.Core()
    model = core.read_model(files[GRAPH], files[WEIGHTS])
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(model, "CPU", settings)

    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.array(compiled({INPUT: images})[OUTPUT], np.float32)

    return answer


OPENVINO: Final = Format("OpenVINO", GRAPH, "openvino", ("openvino", *ONNX.packages[:2]), write, open_bytes)
