"""Which layers of a network suffer most from 8-bit integers.

The whole network is put into integers; then one layer at a time gets its float inputs and weights back, and the answers
come nearer to those of the float network, by so much as the layer had done harm. Labels are not needed, so that the
images of the calibration serve, and those on which accuracy is measured stay unseen.

NNCF's own `quantize_with_accuracy_control` ranks by the number of right answers, which a few hundred images do not tell
layers apart by, or, given outputs, by the error that is left when a layer is reverted, the largest first.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from imclass.inference.exports.openvino_model import compiled_for_cpu, model_of_program
from imclass.inference.exports.program import INPUT, OUTPUT, Program

if TYPE_CHECKING:
    import openvino

LAYERS: Final = ("Convolution", "MatMul")
QUANTISER: Final = "FakeQuantize"
BATCH_SIZE: Final = 32
MOST_IMAGES: Final = 64
"""The answers to so many tell layers apart."""


def by_harm(program: Program, quantised: "openvino.Model", images: NDArray[np.uint8]) -> list[str]:
    """Names of all layers, that one first which does most harm in integers.

    Args:
        program: float32, in evaluation mode on the CPU.
        quantised: the same with all layers in integers.
        images: (N, C, H, W), of which `MOST_IMAGES` are looked at.
    """
    model = model_of_program(program)
    images = images[:: -(-len(images) // MOST_IMAGES)]
    right = _answers(model, images)
    originals = {each.get_friendly_name(): each for each in _layers(model)}
    left = {
        name: float(np.abs(_answers(_with_layer_in_float(quantised, original), images) - right).mean())
        for name, original in originals.items()
    }
    return sorted(left, key=left.__getitem__)


def _with_layer_in_float(quantised: "openvino.Model", original: "openvino.Node") -> "openvino.Model":
    from openvino import opset13

    copy = quantised.clone()
    layer = next(each for each in _layers(copy) if each.get_friendly_name() == original.get_friendly_name())
    quantiser = layer.input_value(0).get_node()
    if quantiser.get_type_name() == QUANTISER:
        layer.input(0).replace_source_output(quantiser.input_value(0))
    weights = original.input_value(1).get_node().get_data()
    layer.input(1).replace_source_output(opset13.constant(weights).output(0))
    return copy


def _layers(model: "openvino.Model") -> Iterator["openvino.Node"]:
    return (each for each in model.get_ordered_ops() if each.get_type_name() in LAYERS)


def _answers(model: "openvino.Model", images: NDArray[np.uint8]) -> NDArray[np.float32]:
    compiled = compiled_for_cpu(model, "f32")
    starts = range(0, len(images), BATCH_SIZE)
    return np.concatenate([compiled({INPUT: images[start : start + BATCH_SIZE]})[OUTPUT] for start in starts])
