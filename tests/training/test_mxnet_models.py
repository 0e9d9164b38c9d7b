"""Incremental training from models of MXNet."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from imclass import artifact
from imclass.errors import ArtifactError
from imclass.training import train
from tests.models.mxnet_golden import GOLDEN

SETTINGS = {"epochs": 1, "mini_batch_size": 8, "learning_rate": 0.0, "optimizer": "sgd", "num_classes": 4}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network of 8 layers at 3,16,16 with 4 classes, as the original unpacks its archive."""
    folder = tmp_path / "model"
    folder.mkdir()
    source = GOLDEN / "train_trace" / "sgd"
    shutil.copy(source / "step-0004.params", folder / "image-classification-0004.params")
    shutil.copy(source / "step-symbol.json", folder / "image-classification-symbol.json")
    return folder


def test_a_run_goes_on_from_it(model: Path, photos: Path, tmp_path: Path) -> None:
    (model / "model-shapes.json").write_text(json.dumps([{"name": "data", "shape": [1, 3, 16, 16]}]))
    run = train(photos, output=tmp_path / "a", model=model, hyperparameters=SETTINGS, device="cpu", quiet=True)
    description, state = artifact.read(run.model_path)
    _, old = artifact.read(model)
    assert (description.network, description.num_layers, description.num_classes) == ("resnet_v2", 8, 4)
    assert (description.image_shape, description.resize_mode) == ((3, 16, 16), "stretch")
    assert torch.equal(state["stage2.0.conv1.weight"], old["stage2.0.conv1.weight"])
    assert not torch.equal(state["bn1.running_mean"], old["bn1.running_mean"])


def test_the_model_channel_takes_its_folder(model: Path, photos: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "num_layers": 8, "image_shape": "3,16,16", "num_training_samples": 72}
    channels = {"train": photos, "validation": photos, "model": model}
    run = train(channels=channels, output=tmp_path / "a", hyperparameters=settings, device="cpu", quiet=True)
    _, state = artifact.read(run.model_path)
    _, old = artifact.read(model, image_shape=(3, 16, 16))
    assert torch.equal(state["fc1.weight"], old["fc1.weight"])


def test_a_shape_that_nothing_says_is_asked_for(model: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not say its image shape"):
        train(photos, output=tmp_path / "a", model=model, hyperparameters=SETTINGS, device="cpu", quiet=True)
    shaped = {**SETTINGS, "image_shape": "3,16,16"}
    run = train(photos, output=tmp_path / "b", model=model, hyperparameters=shaped, device="cpu", quiet=True)
    assert artifact.read_description(run.model_path).image_shape == (3, 16, 16)
