"""PyTorch's exported program (.pt2), which runs without imclass; the file `imclass.json` in it describes it."""

import io
import json
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.inference.exports.format import Answer, Files, Format
from imclass.inference.exports.program import BATCH, INPUT, Metadata, Program
from imclass.inference.exports.quiet import notes_for_developers_left_out

SUFFIX: Final = ".pt2"
EXTRA_FILE: Final = "imclass.json"


def write(program: Program, metadata: Metadata) -> Files:
    """The bytes of the file."""
    with notes_for_developers_left_out():
        exported = torch.export.export(
            program, (program.example(),), dynamic_shapes={INPUT: {0: torch.export.Dim(BATCH)}}
        )
        _forget_the_source(exported)
        description = {name: json.loads(value) for name, value in metadata.items()}
        stream = io.BytesIO()
        torch.export.save(
            exported, stream, extra_files={EXTRA_FILE: json.dumps(description, indent=2, ensure_ascii=False)}
        )
    return {SUFFIX: stream.getvalue()}


def _forget_the_source(exported: torch.export.ExportedProgram) -> None:
    """Take out the lines of Python, with their paths, that each node comes from."""
    for node in exported.graph.nodes:
        node.meta.pop("stack_trace", None)


def open_bytes(files: Files) -> Answer:
    """The program as PyTorch loads it."""
    with notes_for_developers_left_out():
        program = torch.export.load(io.BytesIO(files[SUFFIX])).module()

    @torch.inference_mode()
    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = program(torch.from_numpy(images)).numpy()
        return probabilities

    return answer


TORCH: Final = Format("PyTorch program", SUFFIX, "", (), write, open_bytes)
