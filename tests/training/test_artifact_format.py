"""Runs that write their model as the original does."""

import tarfile
from pathlib import Path

import cv2
import pytest

from imclass import artifact
from imclass.data import open_source
from imclass.errors import DataError, HyperparameterError, UserError
from imclass.images import Preprocessing
from imclass.training import train
from imclass.training.model_evaluation import evaluate_model
from imclass.training.outcome import COMPARED_IMAGES, compared_pixels
from tests.pictures import CLASSES, write_class_folders

QUICK = {
    "recipe": "sagemaker",
    "image_shape": "3,16,16",
    "num_layers": 8,
    "epochs": 3,
    "mini_batch_size": 12,
    "learning_rate": 0.05,
    "seed": 3,
}
ORIGINAL = ["model-shapes.json", "image-classification-symbol.json"]


def names_in(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


@pytest.fixture
def wide_photos(tmp_path: Path) -> Path:
    """Pictures that are not of the network's shape: crop and stretch see different things."""
    folder = write_class_folders(tmp_path / "wide", 8)
    for path in folder.rglob("*.png"):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (30, 20)))
    return folder


def test_mxnet_alone_is_the_best_epoch_as_the_original_writes_it(
    photos: Path, wide_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**QUICK, "artifact_format": "mxnet", "resize_mode": "stretch"}
    run = train(photos, validation=wide_photos, output=tmp_path / "out", hyperparameters=settings, device="cpu")
    best = int(run.best["epoch"]) + 1
    assert names_in(run.model_path) == [f"image-classification-{best:04d}.params", *ORIGINAL]
    report = evaluate_model(run.model_path, wide_photos, device="cpu", class_names=CLASSES)
    assert report.accuracy == run.best["validation_accuracy"]
    assert report.loss == pytest.approx(run.best["validation_loss"], rel=1e-5)
    log = capsys.readouterr().out
    assert "Validation-accuracy" in log
    assert "endpoints of the original" not in log
    assert "Not in the model file: class names: outputs are numbered; artifact_format=both keeps it" in log
    assert "preparation of images" not in log


def test_both_keeps_names_preparation_and_all_epochs(
    photos: Path, wide_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**QUICK, "artifact_format": "both", "checkpoint_frequency": 1}
    run = train(photos, validation=wide_photos, output=tmp_path / "out", hyperparameters=settings, device="cpu")
    best = int(run.best["epoch"]) + 1
    epochs = range(1, 4)
    assert names_in(run.model_path) == [
        "model.json",
        "model.safetensors",
        *(f"checkpoints/epoch-{epoch:04d}.safetensors" for epoch in epochs),
        *(f"image-classification-{epoch:04d}.params" for epoch in epochs),
        *ORIGINAL,
    ]
    report = evaluate_model(run.model_path, wide_photos, device="cpu")
    assert report.accuracy == run.best["validation_accuracy"]
    assert artifact.read_description(run.model_path).class_names == CLASSES
    log = capsys.readouterr().out
    assert "endpoints of the original stretch the whole image" in log
    assert "Not in the model file" not in log
    assert f"epochs 0001, 0002, 0003; the best is {best:04d}, imclass opens the best" in log

    # What the original's endpoints see: the files without imclass's own.
    folder = tmp_path / "unpacked"
    with tarfile.open(run.model_path) as tar:
        tar.extractall(folder, filter="data")
    for epoch in epochs:
        _, theirs = artifact.read(folder / "image-classification-symbol.json", epoch=epoch)
        _, ours = artifact.read(folder, epoch=epoch)
        assert all((theirs[name] == ours[name]).all() for name in ours if not name.endswith("num_batches_tracked"))


def test_without_own_files_it_is_said_which_epoch_counts(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**QUICK, "artifact_format": "mxnet", "checkpoint_frequency": 2, "learning_rate": 0.0}
    run = train(photos, output=tmp_path / "out", hyperparameters=settings, device="cpu")
    best = int(run.best["epoch"]) + 1
    kept = sorted({best, 2})
    assert names_in(run.model_path)[:-2] == [f"image-classification-{epoch:04d}.params" for epoch in kept]
    assert artifact.read_description(run.model_path).epoch == kept[-1]
    assert (f"imclass opens the last, {kept[-1]:04d}" in capsys.readouterr().out) == (len(kept) > 1)


def test_a_finished_run_can_be_written_in_another_format(photos: Path, tmp_path: Path) -> None:
    arguments = {"source": photos, "output": tmp_path / "out", "device": "cpu", "quiet": True}
    train(**arguments, hyperparameters=QUICK)
    run = train(**arguments, hyperparameters={"artifact_format": "both"}, resume=True)
    assert {"model.json", *ORIGINAL} < set(names_in(run.model_path))
    assert len(run.metrics) == 3


def test_the_other_family_is_refused_before_data_is_read(photos: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "artifact_format": "mxnet"}
    nowhere = tmp_path / "no-such-data"
    for name, value in (("network", "resnet_v1"), ("use_pretrained_model", 1)):
        shaped = {**settings, "image_shape": "3,64,64", "num_layers": 18, name: value}
        with pytest.raises(HyperparameterError, match="artifact_format=mxnet"):
            train(nowhere, output=tmp_path / "out", hyperparameters=shaped)
    old = train(
        photos, output=tmp_path / "old", hyperparameters={**QUICK, "network": "resnet_v1"}, device="cpu", quiet=True
    )
    with pytest.raises(UserError, match="would start from a resnet_v1"):
        train(nowhere, output=tmp_path / "out", hyperparameters=settings, model=old.model_path)
    weights = next((tmp_path / "old" / "checkpoints").glob("best-*.safetensors"))
    with pytest.raises(UserError, match="would start from a resnet_v1") as caught:
        train(nowhere, output=tmp_path / "out", hyperparameters=settings, pretrained=weights)
    assert caught.value.where == str(weights)


def test_images_to_compare_on_leave_out_the_unreadable(tmp_path: Path) -> None:
    folder = write_class_folders(tmp_path / "photos", 8)
    source, preprocessing = open_source(folder), Preprocessing(image_shape=(3, 16, 16))
    assert compared_pixels(source, preprocessing).shape == (COMPARED_IMAGES, 3, 16, 16)
    pictures = sorted(folder.rglob("*.png"))
    for path in pictures[:-3]:
        path.write_bytes(b"no picture")
    assert len(compared_pixels(source, preprocessing)) == 3
    for path in pictures[-3:]:
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="not one validation image"):
        compared_pixels(source, preprocessing)
