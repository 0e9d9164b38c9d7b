"""Models in 8-bit integers: their accuracy, and what is refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import openvino
import pytest

import imclass
from imclass.errors import ArtifactError, DataError, UserError
from imclass.inference import quantisation, quantise
from imclass.inference.exports.openvino_reader import open_openvino
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
    assert not done.first_and_last_in_float


def test_the_file_is_in_integers_and_describes_itself(done: quantisation.Quantisation, model: Path) -> None:
    opened = open_openvino(done.files[0])
    assert opened.precision == "int8"
    assert opened.description.class_names == CLASS_NAMES
    assert opened.description.resize == 20
    assert types_in(done.files[0]).count("i8") >= 14
    text = done.files[0].read_text()
    assert str(model.parent) not in text
    assert str(Path.home()) not in text


def test_the_same_images_give_the_same_files(
    done: quantisation.Quantisation, model: Path, pictures: Path, tmp_path: Path
) -> None:
    again = quantise(model, tmp_path / "small.xml", pictures, max_accuracy_loss=100)
    assert again.int8_accuracy == done.int8_accuracy
    assert [file.read_bytes() for file in again.files] == [file.read_bytes() for file in done.files]


def test_the_accuracy_is_that_of_the_written_file_on_the_validation_folder(
    model: Path, pictures: Path, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    (root / "train").symlink_to(pictures)
    (root / "val").symlink_to(pictures)
    result = quantise(model, tmp_path / "small.xml", root, max_accuracy_loss=100)
    assert (result.calibration_images, result.validation_images) == (PICTURES, PICTURES)

    predictor = imclass.load(model, device="cpu")
    compiled = openvino.Core().compile_model(result.files[0], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    right = 0
    for label, name in enumerate(CLASS_NAMES):
        for file in (pictures / name).iterdir():
            pixels = quantisation.Loader  # noqa: B018  (what is under test prepares images with the loader)
            del pixels
            from imclass.images import Preprocessing
            from imclass.inference.pixels import prepare

            prepared = prepare(file, Preprocessing(image_shape=FIELDS["image_shape"], resize=FIELDS["resize"]))
            answer = compiled({"images": prepared.transpose(2, 0, 1)[np.newaxis]})["probabilities"]
            right += int(answer.argmax()) == label
    assert predictor.description.num_classes == 3
    assert result.int8_accuracy == right / PICTURES
