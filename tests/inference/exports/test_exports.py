"""Exported models, opened by the runtimes that they are for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import pytest
import torch

import imclass
from imclass import artifact
from imclass.errors import ArtifactError, UserError
from imclass.inference import convert
from imclass.inference.exports import FORMATS, export
from tests.models.mxnet.files import MODELS

Answers = tuple[Callable[[np.ndarray], np.ndarray], dict[str, object]]


def opened_by_onnxruntime(path: Path) -> Answers:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [images], [probabilities] = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type, images.shape[0]) == ("images", "tensor(uint8)", "batch")
    assert (probabilities.name, probabilities.type) == ("probabilities", "tensor(float)")
    facts = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
    return lambda pixels: session.run(None, {"images": pixels})[0], facts


def opened_by_openvino(path: Path) -> Answers:
    core = openvino.Core()
    model = core.read_model(path)
    assert model.input("images").partial_shape[0].is_dynamic
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    facts = {name: json.loads(value) for name, value in model.get_rt_info("imclass").value.items()}
    return lambda pixels: compiled({"images": pixels})["probabilities"], facts


def opened_by_torch(path: Path) -> Answers:
    extra = {"imclass.json": ""}
    program = torch.export.load(path, extra_files=extra).module()
    return lambda pixels: program(torch.from_numpy(pixels)).detach().numpy(), json.loads(extra["imclass.json"])


OPENED = {"onnx": opened_by_onnxruntime, "openvino": opened_by_openvino, "torch": opened_by_torch}
KINDS = [
    {"network": "resnet_v2", "num_layers": 20, "multi_label": True, "image_shape": (1, 16, 20)},
    {"network": "resnet_v1", "num_layers": 18, "image_shape": (3, 40, 36), "resize": 48},
]


def test_every_format_is_tested() -> None:
    assert OPENED.keys() == FORMATS.keys()


@pytest.mark.parametrize("fields", KINDS, ids=lambda fields: fields["network"])
@pytest.mark.parametrize("to", OPENED)
def test_answers_and_description_go_along(
    to: str, fields: dict[str, object], save_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = save_model(**fields, class_names=("cät", "dog", "owl"), metrics={"loss": float("inf")})
    output = (tmp_path / "out").with_suffix(FORMATS[to].suffix)
    done = convert(model, output, to)
    assert (done.files[0], done.images, done.left_out) == (output, 16, ())
    assert done.largest_difference <= 1e-4
    assert not any(str(Path(imclass.__file__).parent).encode() in file.read_bytes() for file in done.files)

    answer, facts = OPENED[to](output)
    ours = imclass.load(model, device="cpu")
    for count in (1, 3, 20):
        pixels = np.random.default_rng(count).integers(0, 256, (count, *fields["image_shape"]), dtype=np.uint8)
        expected = ours.probabilities(pixels.astype(np.float32))
        np.testing.assert_allclose(answer(pixels), expected, rtol=0, atol=1e-5)
    assert facts["class_names"] == ["cät", "dog", "owl"]
    assert facts["image_shape"] == list(fields["image_shape"])
    assert facts["multi_label"] is fields.get("multi_label", False)
    assert facts["metrics"] == {"loss": "Infinity"}
    colours = "grey" if fields["image_shape"][0] == 1 else "RGB"
    assert facts["preprocessing"] == {
        "resize": fields.get("resize"),
        "resize_mode": "crop",
        "fill_value": 127,
        "colours": colours,
    }


def test_a_float16_model_of_mxnet_gets_its_names_and_keeps_its_answers(tmp_path: Path) -> None:
    source, names = MODELS / "resnet20_28_fp16", [f"class {number}" for number in range(10)]
    convert(source, tmp_path / "m.onnx", "onnx", class_names=names, image_shape=(3, 28, 28))
    answer, facts = opened_by_onnxruntime(tmp_path / "m.onnx")
    assert facts["class_names"] == names
    assert facts["preprocessing"]["resize_mode"] == "stretch"
    pixels = np.load(source / "input.npy").astype(np.uint8)
    expected = imclass.load(source, image_shape=(3, 28, 28), device="cpu").probabilities(pixels.astype(np.float32))
    np.testing.assert_allclose(answer(pixels), expected, rtol=0, atol=1e-5)


def test_what_answers_otherwise_is_not_written(save_model: Callable[..., Path], tmp_path: Path) -> None:
    description, network = artifact.load(save_model())
    kind = replace(FORMATS["torch"], open=lambda files: lambda images: np.full((len(images), 3), 1 / 3, np.float32))
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16), dtype=np.uint8)
    output = tmp_path / "out"
    output.mkdir()
    with pytest.raises(ArtifactError, match=r"answers otherwise.*nothing is written"):
        export(output / "m.pt2", kind, description, network, images)
    assert list(output.iterdir()) == []


def test_all_files_appear_or_none(save_model: Callable[..., Path], tmp_path: Path) -> None:
    description, network = artifact.load(save_model())
    images = np.zeros((1, 3, 16, 16), np.uint8)
    (tmp_path / "m.bin").mkdir()
    with pytest.raises(ArtifactError, match="this is a folder"):
        export(tmp_path / "m.xml", FORMATS["openvino"], description, network, images)
    assert not (tmp_path / "m.xml").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    kind = replace(FORMATS["onnx"], packages=("onnx", "no_such_package"))
    with pytest.raises(UserError, match="not installed: no_such_package") as caught:
        kind.check(tmp_path / "m.onnx")
    assert "python -m pip install 'imclass[onnx]'" in caught.value.fix
