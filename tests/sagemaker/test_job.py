"""The three files of a job together."""

from pathlib import Path

import pytest

from imclass.errors import DataError, HyperparameterError, UserError
from imclass.sagemaker.cluster import Cluster
from imclass.sagemaker.job import read_job
from imclass.sagemaker.layout import Layout
from tests.sagemaker.job_folder import CHANNEL, HYPERPARAMETERS, write_config

# The examples of the contract (sagemaker.md, A.3).
CALTECH = {
    "image_shape": "3,224,224",
    "num_layers": "18",
    "num_training_samples": "15420",
    "num_classes": "257",
    "mini_batch_size": "64",
    "epochs": "2",
    "learning_rate": "0.01",
}


def test_the_examples_of_the_contract(tmp_path: Path) -> None:
    hosts = ("algo-1", "algo-2", "algo-3")
    layout = write_config(tmp_path, CALTECH, hosts=hosts, network_interface_name="eth1")
    job = read_job(layout)
    assert job.hyperparameters == CALTECH
    assert job.input_data_config == {"train": CHANNEL, "validation": CHANNEL}
    assert job.channels == {
        "train": tmp_path / "input/data/train",
        "validation": tmp_path / "input/data/validation",
    }
    assert job.cluster == Cluster("algo-1", hosts, "eth1")


@pytest.mark.parametrize(
    "more",
    [
        {"_tuning_objective_metric": "validation:accuracy"},
        {"learning_rate": "9.999999974752427e-07"},
        {"learning_rate": "0.24266119474442166", "optimizer": '"sgd"'},
        {"mini_batch_size": "37"},
    ],
    ids=str,
)
def test_values_as_a_tuner_sends_them(tmp_path: Path, more: dict[str, str]) -> None:
    assert read_job(write_config(tmp_path, {**CALTECH, **more})).hyperparameters == {**CALTECH, **more}


def test_channels_may_say_nothing_of_themselves(tmp_path: Path) -> None:
    job = read_job(write_config(tmp_path, channels={"train": {}, "validation": {}, "model": {}}))
    assert list(job.channels) == ["train", "validation", "model"]


def test_a_missing_channel_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no train and no validation channel"):
        read_job(write_config(tmp_path, channels={"train_lst": CHANNEL}))


def test_one_problem_keeps_its_kind(tmp_path: Path) -> None:
    with pytest.raises(HyperparameterError, match="did you mean learning_rate"):
        read_job(write_config(tmp_path, {**HYPERPARAMETERS, "learning_rat": "1"}))
    wrong = {**CHANNEL, "TrainingInputMode": "Pipes"}
    with pytest.raises(DataError, match=r"TrainingInputMode is 'Pipes'.*did you mean 'Pipe'"):
        read_job(write_config(tmp_path, channels={"train": wrong, "validation": CHANNEL}))


def test_all_files_are_looked_at_before_anything_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_job(Layout(tmp_path))
    for name in ("hyperparameters.json", "inputdataconfig.json", "resourceconfig.json"):
        assert str(tmp_path / "input/config" / name) in str(caught.value)
