"""What users of the original stumbled over, and what they are told here (sagemaker.md, E.2)."""

from pathlib import Path

import pytest

from imclass.sagemaker.failure import failure_of
from imclass.sagemaker.layout import Layout
from imclass.sagemaker.worker import run_job
from tests.pictures import write_class_folders
from tests.pipe_writer import writing
from tests.sagemaker.job_folder import CHANNEL, HYPERPARAMETERS, write_config, write_job, write_records

PIPE = {**CHANNEL, "TrainingInputMode": "Pipe"}


def reason(layout: Layout) -> str:
    """What SageMaker would show of the failure of a job: the first 1024 characters."""
    with pytest.raises(Exception) as caught:
        run_job(layout)
    return failure_of(caught.value).reason[:1024]


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in HYPERPARAMETERS.items() if key != name}


def test_a_file_that_is_no_recordio(tmp_path: Path) -> None:
    layout = write_job(tmp_path)
    path = layout.channel("train") / "train.rec"
    path.with_suffix(".idx").unlink()
    path.write_bytes(b"<html>not found</html>")
    told = reason(layout)
    assert told.startswith(f"ClientError: {path}, byte 0: no record begins where one must")


def test_an_empty_rec_file(tmp_path: Path) -> None:
    layout = write_job(tmp_path)
    path = layout.channel("train") / "train.rec"
    path.with_suffix(".idx").unlink()
    path.write_bytes(b"")
    told = reason(layout)
    assert told.startswith("ClientError: ")
    assert str(path) in told
    assert "no record" in told


def test_a_list_that_is_none(tmp_path: Path) -> None:
    images = {**CHANNEL, "ContentType": "application/x-image"}
    names = ("train", "validation", "train_lst", "validation_lst")
    layout = write_config(tmp_path, channels=dict.fromkeys(names, images))
    for split in ("train", "validation"):
        write_class_folders(layout.channel(split), 2)
        layout.channel(f"{split}_lst").mkdir()
        (layout.channel(f"{split}_lst") / f"{split}.lst").write_text("0,1,bars/000.png\n1\tone\tbars/001.png\n")
    told = reason(layout)
    assert told.startswith("ClientError: ")
    assert "train.lst" in told
    assert "line 1" in told
    assert "line 2" in told


@pytest.mark.parametrize("num_classes", ["2", "1"])
def test_labels_beyond_the_number_of_classes(tmp_path: Path, num_classes: str) -> None:
    told = reason(write_job(tmp_path, hyperparameters={**HYPERPARAMETERS, "num_classes": num_classes}))
    assert told.startswith("ClientError: ")
    assert "num_classes" in told


def test_fewer_images_than_a_batch(tmp_path: Path) -> None:
    told = reason(write_job(tmp_path, hyperparameters={**HYPERPARAMETERS, "mini_batch_size": "100"}))
    assert told.startswith("ClientError: ")
    assert "mini_batch_size=100 is more than num_training_samples=72" in told
    assert "The number of input images must be bigger or equal to the mini_batch_size." in told


@pytest.mark.parametrize("name", ["num_classes", "num_training_samples"])
def test_a_pipe_needs_what_nobody_can_count(tmp_path: Path, name: str) -> None:
    layout = write_config(tmp_path, without(name), channels={"train": PIPE, "validation": PIPE})
    told = reason(layout)
    assert told.startswith("ClientError: ")
    assert f"{name} must be given" in told


def test_weights_of_the_loss_need_all_labels(tmp_path: Path) -> None:
    settings = {**HYPERPARAMETERS, "multi_label": "1", "use_weighted_loss": "1"}
    told = reason(write_config(tmp_path, settings, channels={"train": PIPE, "validation": PIPE}))
    assert told.startswith("ClientError: ")
    assert "use_weighted_loss=1 counts the labels of all training images, which needs File mode" in told


def test_a_pipe_that_carries_nothing(tmp_path: Path) -> None:
    layout = write_config(tmp_path / "ml", channels={"train": PIPE, "validation": CHANNEL})
    write_records(layout.channel("validation") / "validation.rec", 8)
    (tmp_path / "empty").write_bytes(b"")
    with writing(tmp_path / "empty", layout.channel("train"), 3):
        told = reason(layout)
    assert told.startswith(f"ClientError: {layout.channel('train')}_0")


def test_a_hyperparameter_of_another_algorithm(tmp_path: Path) -> None:
    told = reason(write_job(tmp_path, hyperparameters={**HYPERPARAMETERS, "label_width": "350"}))
    assert told.startswith("ClientError: ")
    assert "'label_width': unknown name" in told


def test_a_checkpoint_of_another_job(tmp_path: Path) -> None:
    layout = write_job(tmp_path, hyperparameters={**HYPERPARAMETERS, "epochs": "1"})
    run_job(layout)
    write_config(tmp_path, {**HYPERPARAMETERS, "learning_rate": "0.5"})
    told = reason(layout)
    assert told.startswith(f"ClientError: {layout.checkpoints}")
    assert "learning_rate: 0.05 before, 0.5 now" in told
