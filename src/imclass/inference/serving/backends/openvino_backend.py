"""OpenVINO on the CPU: float32, bfloat16 where the processor has it, and models that were converted to int8.

One batch is computed at a time, on all cores. Two infer requests with one core each bring no more images a second for
batches of 1, 8 or 16 (within the noise of `bench/openvino_streams.py` on two cores), and let a lonely image wait twice
as long. The batch is free in the compiled model: models compiled for one size are hardly faster (1 to 10 %), and would
need a copy of the weights for each.
"""

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray

from imclass.errors import UserError
from imclass.inference.exports.format import how_to_install, missing_packages
from imclass.inference.exports.openvino_model import OPENVINO as OPENVINO_FORMAT
from imclass.inference.exports.openvino_model import compiled_for_cpu, model_of_program
from imclass.inference.exports.program import INPUT, OUTPUT, Program
from imclass.inference.serving.backends.protocol import Backend, BackendKind, LoadedModel

if TYPE_CHECKING:
    import openvino

# What is not quantised in an int8 model is computed in float32: its accuracy was measured so.
HINTS: Final = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


class OpenVINOBackend:
    """A compiled model on the CPU.

    Args:
        model: from pixels (N, C, H, W) uint8 to probabilities; it is changed.
        precision: a key of `HINTS`.
    """

    name = "openvino"
    device = "cpu"
    concurrency = 1

    def __init__(self, model: "openvino.Model", precision: str) -> None:
        self.precision = precision
        self._request = compiled_for_cpu(_with_decoded_pixels(model), HINTS[precision]).create_infer_request()

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `Backend.predict`."""
        # Shared, not copied: the call ends before the pixels go away. The answer is copied out of the request.
        answers = self._request.infer({INPUT: np.ascontiguousarray(pixels)}, share_inputs=True)
        return np.array(answers[OUTPUT], np.float32)

    def close(self) -> None:
        """As `Backend.close`."""
        del self._request


def _with_decoded_pixels(model: "openvino.Model") -> "openvino.Model":
    """The model with an input (N, H, W, C), as images are decoded. The colours are set apart inside, while the bytes
    are read for the first time."""
    from openvino import Layout
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    steps.input(INPUT).tensor().set_layout(Layout("NHWC"))
    steps.input(INPUT).model().set_layout(Layout("NCHW"))
    changed: openvino.Model = steps.build()
    return changed


def _missing() -> str | None:
    missing = missing_packages(OPENVINO_FORMAT.packages)
    if not missing:
        return None
    return f"not installed: {', '.join(missing)}. {how_to_install(OPENVINO_FORMAT.extra)}"


def _precisions(model: LoadedModel, device: torch.device) -> tuple[str, ...]:
    """bfloat16 where the processor multiplies it; int8 of models that were converted to it, and then nothing else."""
    if device.type != "cpu":
        return ()
    if model.converted is not None and model.converted.precision == "int8":
        return ("int8",)
    import openvino

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("float32", "bfloat16") if "BF16" in capabilities else ("float32",)


def _open(model: LoadedModel, device: torch.device, precision: str, max_batch: int) -> Backend:
    possible = _precisions(model, device)
    if precision not in possible:
        raise UserError(
            f"{device} does not compute this model in {precision} with openvino",
            where="precision",
            fix=f"Use one of auto, {', '.join(possible)}." if possible else "Use --device cpu.",
        )
    if model.converted is not None:
        return OpenVINOBackend(model.converted.read(), precision)
    assert model.network is not None, "a model has one form"
    program = Program(model.network, multi_label=model.description.multi_label).eval()
    return OpenVINOBackend(model_of_program(program), precision)


OPENVINO = BackendKind(name="openvino", missing=_missing, precisions=_precisions, open=_open)
