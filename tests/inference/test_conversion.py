"""Conversion of a model, and what is said about it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import imclass
from imclass.errors import ArtifactError, ImageError, UserError
from imclass.inference import conversion, convert
from tests.models.mxnet.files import MODELS


def test_answers_stay_and_what_is_lost_is_said(save_model: Callable[..., Path], tmp_path: Path) -> None:
    model, output = save_model(resize=20), tmp_path / "hosted.tar.gz"
    done = convert(model, output, "mxnet")
    assert (done.files, done.images) == ((output,), 16)
    assert done.largest_difference <= 1e-7
    assert [words.split(":")[0] for words in done.left_out] == [
        "class names",
        "preparation of images (resize 20, crop)",
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16)).astype(np.float32)
    before, after = (imclass.load(path, device="cpu").probabilities(pixels) for path in (model, output))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)


def test_given_images_are_used(
    save_model: Callable[..., Path], tmp_path: Path, pixels_of: Callable[..., np.ndarray]
) -> None:
    model = save_model(resize_mode="stretch", class_names=None)
    done = convert(model, tmp_path / "hosted.tar.gz", "mxnet", [pixels_of(seed, 30, 50) for seed in range(3)])
    assert (done.images, done.left_out) == (3, ())
    with pytest.raises(ImageError):
        convert(model, tmp_path / "hosted.tar.gz", "mxnet", [b"no image"])


def test_of_many_images_some_are_taken(
    save_model: Callable[..., Path],
    tmp_path: Path,
    pixels_of: Callable[..., np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversion, "MOST_IMAGES", 4)
    for given, taken in ((4, 4), (5, 3), (9, 3)):
        images = [pixels_of(seed) for seed in range(given)]
        assert convert(save_model(), tmp_path / "hosted.tar.gz", "mxnet", images).images == taken


def test_a_model_never_replaces_itself(save_model: Callable[..., Path], tmp_path: Path) -> None:
    model = save_model()
    before = model.read_bytes()
    (tmp_path / "link.tar.gz").symlink_to(model)
    for output in (model, tmp_path / "link.tar.gz"):
        with pytest.raises(ArtifactError, match="this is the model to convert"):
            convert(model, output, "mxnet")
    assert model.read_bytes() == before


def test_a_model_of_mxnet_goes_round(tmp_path: Path) -> None:
    source = MODELS / "resnet20_28_logistic"
    with pytest.raises(ArtifactError, match="image shape"):
        convert(source, tmp_path / "again.tar.gz", "mxnet")
    convert(source, tmp_path / "again.tar.gz", "mxnet", image_shape=(3, 28, 28))
    answers = imclass.load(tmp_path / "again.tar.gz", device="cpu").probabilities(np.load(source / "input.npy"))
    np.testing.assert_allclose(answers, np.load(source / "output_softmax.npy"), rtol=0, atol=1e-5)


def test_float16_weights_take_half_the_space_and_answer_almost_alike(
    save_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = save_model(num_layers=20)
    sizes, answers = {}, {}
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16)).astype(np.float32)
    for dtype in ("float32", "float16"):
        done = convert(model, tmp_path / dtype, "mxnet", dtype=dtype)
        assert (0 < done.largest_difference <= 2e-3) if dtype == "float16" else done.largest_difference <= 1e-5
        sizes[dtype] = (tmp_path / dtype).stat().st_size
        answers[dtype] = imclass.load(tmp_path / dtype, device="cpu").probabilities(pixels)
    assert sizes["float16"] < 0.6 * sizes["float32"]
    np.testing.assert_allclose(answers["float16"], answers["float32"], rtol=0, atol=2e-3)


def test_what_cannot_be_is_refused_before_the_model_is_opened(tmp_path: Path) -> None:
    model = tmp_path / "no-such-model.tar.gz"
    for arguments, message in (
        ((tmp_path / "m.onnx", "tarot"), "no format 'tarot'"),
        ((tmp_path / "m.onnx", "openvino"), "ends in .xml"),
        ((tmp_path / "m.pt", "torch"), "m.pt2"),
        ((tmp_path / "none" / "m.onnx", "onnx"), "no such folder"),
    ):
        with pytest.raises(UserError, match=message):
            convert(model, *arguments)
    with pytest.raises(UserError, match="float16 weights are for mxnet only"):
        convert(model, tmp_path / "m.onnx", "onnx", dtype="float16")
    with pytest.raises(UserError, match="'int8'"):
        convert(model, tmp_path / "m.tar.gz", "mxnet", dtype="int8")
