"""Conversion of a model, and what is said about it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import imclass
from imclass.errors import ArtifactError, ImageError
from imclass.inference import conversion, convert_to_mxnet
from tests.models.mxnet.files import MODELS


def test_answers_stay_and_what_is_lost_is_said(save_model: Callable[..., Path], tmp_path: Path) -> None:
    model, output = save_model(resize=20), tmp_path / "hosted.tar.gz"
    done = convert_to_mxnet(model, output)
    assert (done.output, done.images) == (output, 16)
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
    done = convert_to_mxnet(model, tmp_path / "hosted.tar.gz", [pixels_of(seed, 30, 50) for seed in range(3)])
    assert (done.images, done.left_out) == (3, ())
    with pytest.raises(ImageError):
        convert_to_mxnet(model, tmp_path / "hosted.tar.gz", [b"no image"])


def test_of_many_images_some_are_taken(
    save_model: Callable[..., Path],
    tmp_path: Path,
    pixels_of: Callable[..., np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversion, "MOST_IMAGES", 4)
    for given, taken in ((4, 4), (5, 3), (9, 3)):
        images = [pixels_of(seed) for seed in range(given)]
        assert convert_to_mxnet(save_model(), tmp_path / "hosted.tar.gz", images).images == taken


def test_a_model_of_mxnet_goes_round(tmp_path: Path) -> None:
    source = MODELS / "resnet20_28_logistic"
    with pytest.raises(ArtifactError, match="image shape"):
        convert_to_mxnet(source, tmp_path / "again.tar.gz")
    convert_to_mxnet(source, tmp_path / "again.tar.gz", image_shape=(3, 28, 28))
    answers = imclass.load(tmp_path / "again.tar.gz", device="cpu").probabilities(np.load(source / "input.npy"))
    np.testing.assert_allclose(answers, np.load(source / "output_softmax.npy"), rtol=0, atol=1e-5)
