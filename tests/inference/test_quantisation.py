"""Models in 8-bit integers: their accuracy, and what is refused."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import openvino
import pytest
from openvino import opset13

import imclass
from imclass import artifact
from imclass.errors import ArtifactError, DataError, UserError
from imclass.images import Preprocessing
from imclass.inference import quantisation, quantise
from imclass.inference.exports.openvino_harm import by_harm
from imclass.inference.exports.openvino_int8 import quantised
from imclass.inference.exports.openvino_reader import open_openvino
from imclass.inference.exports.program import Program
from imclass.inference.pixels import prepare
from tests.conftest import CLASS_NAMES, random_pixels, save_random_model

PICTURES = 96
FIELDS = {"resize": 20, "image_shape": (3, 16, 16)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("model"), num_layers=14, **FIELDS)


@pytest.fixture(scope="module")
def pictures(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders in which the float model is always right, though not always sure."""
    root = tmp_path_factory.mktemp("pictures")
    pixels = [random_pixels(seed, 24, 30) for seed in range(PICTURES)]
    answers = imclass.load(model, device="cpu").predict(pixels).argmax(axis=1)
    assert len(set(answers)) == len(CLASS_NAMES)
    for name in CLASS_NAMES:
        (root / name).mkdir()
    for number, (image, answer) in enumerate(zip(pixels, answers, strict=True)):
        assert cv2.imwrite(str(root / CLASS_NAMES[answer] / f"{number:03}.png"), image[:, :, ::-1])
    return root


@pytest.fixture(scope="module")
def done(model: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> quantisation.Quantisation:
    output = tmp_path_factory.mktemp("int8") / "small.xml"
    return quantise(model, output, pictures, max_accuracy_loss=100)


def types_in(path: Path) -> list[str]:
    """Types of the weights of convolutions and products, as stored."""
    model = openvino.Core().read_model(path)
    return [
        operation.get_element_type().get_type_name()
        for operation in model.get_ordered_ops()
        if operation.get_type_name() == "Constant" and len(operation.get_output_shape(0)) in (2, 4)
    ]


def test_half_is_calibrated_on_and_half_measured(done: quantisation.Quantisation) -> None:
    assert [file.name for file in done.files] == ["small.xml", "small.bin"]
    assert (done.calibration_images, done.validation_images) == (PICTURES / 2, PICTURES / 2)
    assert done.float_accuracy == 1
    assert 0.5 < done.int8_accuracy <= 1
    assert done.accuracy_loss == pytest.approx(100 * (1 - done.int8_accuracy))
    assert (done.layers, done.layers_in_float) == (14 + 3, ())  # three shortcuts have a convolution


def test_the_file_is_in_integers_and_describes_itself(done: quantisation.Quantisation, model: Path) -> None:
    opened = open_openvino(done.files[0])
    assert opened.precision == "int8"
    assert opened.description.class_names == CLASS_NAMES
    assert opened.description.resize == 20
    assert types_in(done.files[0]).count("i8") >= 14
    text = done.files[0].read_text()
    assert str(model.parent) not in text
    assert str(Path.home()) not in text


def test_the_same_images_give_the_same_numbers(
    done: quantisation.Quantisation, model: Path, pictures: Path, tmp_path: Path
) -> None:
    again = quantise(model, tmp_path / "small.xml", pictures, max_accuracy_loss=100)
    assert again.int8_accuracy == done.int8_accuracy
    assert again.files[1].read_bytes() == done.files[1].read_bytes()
    # OpenVINO numbers what has no name, on and on in a process.
    graphs = [re.sub(r'_\d+(?=["_,])', "", each.files[0].read_text()) for each in (done, again)]
    assert graphs[0] == graphs[1]


def test_the_accuracy_is_that_of_the_written_file_on_the_validation_folder(
    model: Path, pictures: Path, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    (root / "train").symlink_to(pictures)
    (root / "val").symlink_to(pictures)
    result = quantise(model, tmp_path / "small.xml", root, max_accuracy_loss=100)
    assert (result.calibration_images, result.validation_images) == (PICTURES, PICTURES)

    compiled = openvino.Core().compile_model(result.files[0], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    right = 0
    for label, name in enumerate(CLASS_NAMES):
        for file in (pictures / name).iterdir():
            pixels = prepare(file, Preprocessing(**FIELDS)).transpose(2, 0, 1)[np.newaxis]
            right += int(compiled({"images": pixels})["probabilities"].argmax()) == label
    assert result.int8_accuracy == right / PICTURES


def test_a_loss_above_the_limit_leaves_nothing(
    model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real loss: activations calibrated on black images alone are cut off on all others."""
    attempts: list[int] = []

    def calibrated_on_black(program: Program, images: np.ndarray, *, in_float: Sequence[str] = ()) -> openvino.Model:
        attempts.append(len(in_float))
        return quantised(program, np.zeros_like(images), in_float=in_float)

    monkeypatch.setattr(quantisation, "quantised", calibrated_on_black)
    with pytest.raises(
        ArtifactError,
        match=r"small\.xml: .* instead of 1\.0000: .* are lost, 0\.5 are allowed, also with 4 of 17 layers in float",
    ) as caught:
        quantise(model, tmp_path / "small.xml", pictures)
    assert "--max-accuracy-loss" in caught.value.fix
    assert list(tmp_path.iterdir()) == []
    assert attempts == [0, 1, 2, 4]


def test_the_most_harmful_layers_stay_in_float_when_that_saves_accuracy(
    model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged_unless_two_are_kept(
        program: Program, images: np.ndarray, *, in_float: Sequence[str] = ()
    ) -> openvino.Model:
        return quantised(program, images if len(in_float) >= 2 else np.zeros_like(images), in_float=in_float)

    monkeypatch.setattr(quantisation, "quantised", damaged_unless_two_are_kept)
    result = quantise(model, tmp_path / "small.xml", pictures, max_accuracy_loss=25)
    assert result.accuracy_loss <= 25
    assert (len(result.layers_in_float), result.layers) == (2, 17)
    assert types_in(result.files[0]).count("i8") == 15


def test_a_layer_that_was_damaged_does_most_harm(model: Path) -> None:
    _, network = artifact.load(model)
    program = Program(network, multi_label=False).eval()
    images = np.stack([random_pixels(seed).transpose(2, 0, 1) for seed in range(24)])
    whole = quantised(program, images)
    layers = [each for each in whole.get_ordered_ops() if each.get_type_name() in ("Convolution", "MatMul")]
    quantisers = {each.get_friendly_name(): each.input_value(0).get_node() for each in layers}
    own = [name for name, each in quantisers.items() if len(each.output(0).get_target_inputs()) == 1]
    damaged = quantisers[own[5]]
    for upper_end in (2, 4):  # of what goes in, and of what comes out
        value = damaged.input_value(upper_end).get_node().get_data()
        damaged.input(upper_end).replace_source_output(opset13.constant(value / 8).output(0))
    order = by_harm(program, whole, images)
    assert order[0] == own[5]
    assert sorted(order) == sorted(quantisers)


def test_a_limit_is_met_exactly() -> None:
    """200 images, one lost: 0.5 points, which rounding would make more."""
    assert quantisation.points_lost(180, 179, 200) == 0.5


def test_several_labels_an_image(tmp_path: Path) -> None:
    model = save_random_model(tmp_path, multi_label=True)
    pixels = [random_pixels(seed) for seed in range(12)]
    answers = imclass.load(model, device="cpu").predict(pixels) > 0.5
    lines = []
    for number, (image, answer) in enumerate(zip(pixels, answers, strict=True)):
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), image[:, :, ::-1])
        lines.append(json.dumps({"source-ref": f"{number}.png", "label": [int(each) for each in answer]}))
    (tmp_path / "all.manifest").write_text("\n".join(lines) + "\n")
    result = quantise(model, tmp_path / "small.xml", tmp_path / "all.manifest", max_accuracy_loss=100)
    assert (result.validation_images, result.float_accuracy) == (6, 1.0)
    assert 0.5 < result.int8_accuracy <= 1


def test_few_images_are_enough_to_calibrate(
    model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantisation, "CALIBRATION_IMAGES", 12)
    result = quantise(model, tmp_path / "small.xml", pictures, max_accuracy_loss=100)
    assert (result.calibration_images, result.validation_images) == (12, PICTURES - 12)


def test_what_cannot_be(model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArtifactError, match=r"ends in \.xml"):
        quantise(model, tmp_path / "small.onnx", pictures)
    with pytest.raises(ArtifactError, match="no such folder"):
        quantise(model, tmp_path / "none" / "small.xml", pictures)
    with pytest.raises(DataError, match="no such file"):
        quantise(model, tmp_path / "small.xml", tmp_path / "none")
    (tmp_path / "bad" / "cat").mkdir(parents=True)
    for number in range(4):
        (tmp_path / "bad" / "cat" / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="cannot be read"):
        quantise(model, tmp_path / "small.xml", tmp_path / "bad")
    monkeypatch.setattr("imclass.inference.exports.format.find_spec", lambda name: None if name == "nncf" else name)
    with pytest.raises(UserError, match="not installed: nncf") as caught:
        quantise(model, tmp_path / "small.xml", pictures)
    assert "python -m pip install 'imclass[int8]'" in caught.value.fix


def test_nncf_says_nothing_and_reports_to_nobody(model: Path, pictures: Path, tmp_path: Path) -> None:
    """In a process of its own: under pytest NNCF does not report in any case."""
    script = (
        "import logging, sys; before = logging.getLoggerClass()\n"
        "from imclass.inference import quantise\n"
        "quantise(*sys.argv[1:], max_accuracy_loss=100)\n"
        "import nncf.telemetry.wrapper as wrapper, os\n"
        "assert isinstance(wrapper.telemetry, wrapper.NNCFTelemetryStub)\n"
        "assert logging.getLoggerClass() is before and 'NNCF_CI' not in os.environ\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NNCF_CI"}
    command = [sys.executable, "-W", "error", "-c", script, str(model), str(tmp_path / "small.xml"), str(pictures)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
