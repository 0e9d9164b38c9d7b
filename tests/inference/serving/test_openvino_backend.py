"""OpenVINO as a backend: the same answers as torch, from model files and from files of OpenVINO's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from imclass import artifact
from imclass.errors import ArtifactError, UserError
from imclass.inference import convert
from imclass.inference.serving import choosing
from imclass.inference.serving.backends import BACKENDS, LoadedModel, openvino_backend
from imclass.inference.serving.choosing import choose
from imclass.inference.serving.opening import load_model
from tests.conftest import save_random_model

CPU = torch.device("cpu")
OPENVINO = BACKENDS["openvino"]
KINDS = [
    {"network": "resnet_v2", "num_layers": 20, "multi_label": True, "image_shape": (1, 16, 20)},
    {"network": "resnet_v1", "num_layers": 18, "image_shape": (3, 40, 36)},
]
FLOAT32_TOLERANCE = 1e-5
BFLOAT16_TOLERANCE = 0.02  # with 8 bits of mantissa, as `auto` demands


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An .xml file, and the file `model.tar.gz` that it was made from beside it."""
    folder = tmp_path_factory.mktemp("converted")
    model = save_random_model(folder, metrics={"accuracy": 0.5, "loss": float("inf")}, epoch=3)
    convert(model, folder / "model.xml", "openvino")
    model.rename(folder / "model.tar.gz")
    return folder / "model.xml"


def pixels_for(image_shape: tuple[int, int, int], count: int) -> np.ndarray:
    channels, height, width = image_shape
    return np.random.default_rng(count).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def torchs_answers(model: LoadedModel, pixels: np.ndarray) -> np.ndarray:
    return BACKENDS["torch"].open(model, CPU, "float32", 64).predict(pixels)


@pytest.mark.parametrize("fields", KINDS, ids=lambda fields: fields["network"])
def test_answers_are_torchs(save_model: Callable[..., Path], fields: dict[str, object]) -> None:
    model = LoadedModel(*artifact.load(save_model(**fields)))
    backend = OPENVINO.open(model, CPU, "float32", 8)
    assert (backend.name, backend.precision, backend.device, backend.concurrency) == ("openvino", "float32", "cpu", 1)
    answers = []
    for count in (1, 8, 3):
        pixels = pixels_for(fields["image_shape"], count)
        answers.append((pixels, backend.predict(pixels)))
    for pixels, answer in answers:  # compared afterwards: an answer is not overwritten by the next one
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, torchs_answers(model, pixels), rtol=0, atol=FLOAT32_TOLERANCE)
    backend.close()


@pytest.mark.skipif(not torch.cpu._is_avx512_bf16_supported(), reason="the CPU has no bfloat16")
@pytest.mark.parametrize("fields", KINDS, ids=lambda fields: fields["network"])
def test_bfloat16_is_near(save_model: Callable[..., Path], fields: dict[str, object]) -> None:
    model = LoadedModel(*artifact.load(save_model(**fields)))
    pixels = pixels_for(fields["image_shape"], 8)
    answer = OPENVINO.open(model, CPU, "bfloat16", 8).predict(pixels)
    difference = np.abs(answer - torchs_answers(model, pixels)).max()
    assert 0 < difference <= BFLOAT16_TOLERANCE


def test_a_converted_model_describes_itself_and_answers_alike(converted: Path) -> None:
    original, model = load_model(converted.with_suffix(".tar.gz")), load_model(converted)
    assert model.network is None
    assert model.description == original.description
    assert (model.usual_backend, model.usual_precision) == ("openvino", "float32")
    pixels = pixels_for(model.description.image_shape, 5)
    answer = OPENVINO.open(model, CPU, "float32", 8).predict(pixels)
    np.testing.assert_allclose(answer, torchs_answers(original, pixels), rtol=0, atol=FLOAT32_TOLERANCE)
    named = load_model(converted, class_names=("x", "y", "z"))
    assert named.description.class_names == ("x", "y", "z")
    with pytest.raises(ArtifactError, match="image shape"):
        load_model(converted, image_shape=(3, 99, 99))


def test_auto_compares_a_converted_model_with_itself(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "MEASURED_SECONDS", 0.05)
    monkeypatch.setattr(openvino_backend, "_precisions", lambda model, device: ("float32", "bfloat16"))
    backend, candidates = choose(load_model(converted), CPU, backend="auto", precision="float32", max_batch=4)
    assert (backend.name, backend.precision, candidates) == ("openvino", "float32", [])


def test_auto_measures_openvino_beside_torch(
    save_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "imclass")
    monkeypatch.setattr(choosing, "MEASURED_SECONDS", 0.05)
    model = LoadedModel(*artifact.load(save_model()))
    backend, candidates = choose(model, CPU, backend="auto", precision="float32", max_batch=4)
    assert [(each.backend, each.verdict) for each in candidates] == [("torch", "agrees"), ("openvino", "agrees")]
    fastest = max(candidates, key=lambda each: each.images_per_second)
    assert backend.name == fastest.backend
    assert "openvino float32: " in caplog.text


def test_without_the_package(save_model: Callable[..., Path], converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("imclass.inference.serving.backends.openvino_backend", "imclass.inference.exports.openvino_reader"):
        monkeypatch.setattr(f"{module}.missing_packages", lambda packages: ["openvino"])
    model = LoadedModel(*artifact.load(save_model()))
    with pytest.raises(UserError, match="not installed: openvino") as caught:
        choose(model, CPU, backend="openvino", precision="float32", max_batch=4)
    assert "python -m pip install 'imclass[openvino]'" in str(caught.value)
    backend, candidates = choose(model, CPU, backend="auto", precision="float32", max_batch=4)
    assert (backend.name, candidates) == ("torch", [])
    with pytest.raises(UserError, match="needs openvino") as caught:
        load_model(converted)
    assert "imclass[openvino]" in caught.value.fix


def test_what_openvino_does_not_compute(save_model: Callable[..., Path], converted: Path) -> None:
    model = LoadedModel(*artifact.load(save_model()))
    for device, precision in ((CPU, "int8"), (torch.device("cuda", 0), "float32")):
        with pytest.raises(UserError, match=f"does not compute this model in {precision}"):
            OPENVINO.open(model, device, precision, 4)
    with pytest.raises(UserError, match="in int8 on cpu") as caught:
        choose(model, CPU, backend="openvino", precision="int8", max_batch=4)
    assert "--to openvino-int8" in caught.value.fix
    with pytest.raises(UserError, match="the backend torch does not compute this model in float32") as caught:
        choose(load_model(converted), CPU, backend="torch", precision="float32", max_batch=4)
    assert "--backend openvino with --precision float32" in caught.value.fix
    with pytest.raises(UserError) as caught:
        choose(load_model(converted), torch.device("cuda", 0), backend="openvino", precision="float32", max_batch=4)
    assert "--device cpu" in caught.value.fix
