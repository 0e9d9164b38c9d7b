"""Commands with models of MXNet."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import imclass
from imclass.cli import app
from imclass.errors import ArtifactError
from tests.models.mxnet.files import MODELS

MODEL = MODELS / "resnet20_28_fc" / "model-symbol.json"
NAMES = ("apple", "banana", "cherry", "date", "elder")
SHAPE = ("--image-shape", "3,28,28")


def invoke(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(map(str, arguments)))


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES))
    return path


@pytest.fixture
def photos(tmp_path: Path, write_png: Callable[..., Path], pixels_of: Callable[..., np.ndarray]) -> Path:
    """Two wide images a class."""
    for seed in range(10):
        write_png(tmp_path / "photos" / NAMES[seed % 5] / f"{seed}.png", pixels_of(seed, 40, 60))
    return tmp_path / "photos"


def test_predict_stretches_the_image_and_names_the_class(photos: Path, names: Path) -> None:
    photo = photos / "apple" / "0.png"
    result = invoke("predict", MODEL, photo, "--class-names", names, *SHAPE, "--json", "--top-k", 5)
    assert (result.exit_code, result.stderr) == (0, "")
    answers = {one["class"]: one["probability"] for one in json.loads(result.stdout)["predictions"]}
    stretched = cv2.resize(cv2.imread(str(photo))[:, :, ::-1], (28, 28))
    [expected] = imclass.load(MODEL, image_shape=(3, 28, 28)).predict([np.ascontiguousarray(stretched)])
    assert [answers[name] for name in NAMES] == pytest.approx(list(expected), abs=0.02)


def test_without_names_classes_are_numbers(photos: Path) -> None:
    result = invoke("predict", MODEL, photos / "apple" / "0.png", *SHAPE)
    assert result.stdout.split("\t")[1] in "01234"


def test_evaluate_matches_folders_to_the_names(photos: Path, names: Path) -> None:
    result = invoke("evaluate", MODEL, photos, "--class-names", names, *SHAPE, "--json", "-")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert [one["name"] for one in report["classes"]] == list(NAMES)
    assert [one["count"] for one in report["classes"]] == [2] * 5
    rows = imclass.load(MODEL, image_shape=(3, 28, 28)).predict(sorted(photos.rglob("*.png")))
    labels = np.repeat(range(5), 2)
    assert report["accuracy"] == pytest.approx((rows.argmax(1) == labels).mean())


def test_what_is_missing_or_wrong_is_said(photos: Path, names: Path) -> None:
    photo = photos / "apple" / "0.png"
    result = invoke("predict", MODEL, photo)
    assert result.exit_code == 2
    assert "--image-shape 3,28,28" in result.stderr
    names.write_text("cat\ndog\n")
    result = invoke("predict", MODEL, photo, *SHAPE, "--class-names", names)
    assert result.exit_code == 2
    assert "2 class names, but the model has 5 classes" in result.stderr


def test_a_models_own_shape_cannot_be_changed_but_its_names_can(save_model: Callable[..., Path]) -> None:
    model = save_model()
    assert imclass.load(model, image_shape=(3, 16, 16), class_names=["x", "y", "z"]).class_names == ("x", "y", "z")
    with pytest.raises(ArtifactError, match="says that its image shape is 3,16,16, not 3,28,28"):
        imclass.load(model, image_shape=(3, 28, 28))
