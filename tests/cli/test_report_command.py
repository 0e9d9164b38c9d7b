"""`imclass report`, and the report at the end of `imclass train`."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from imclass import artifact
from imclass.cli import app
from imclass.reports.reproduction import NEW_OUTPUT, command_of
from imclass.training.record import read_record
from tests.conftest import SaveModel
from tests.pictures import write_class_folders

SETTINGS = ("--image-shape", "3,16,16", "--num-layers", "8", "--epochs", "1", "--mini-batch-size", "8")


def invoke(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(map(str, arguments)))


def test_a_run_ends_with_its_report_which_can_be_made_again(tmp_path: Path) -> None:
    photos = write_class_folders(tmp_path / "photos", 8)
    output = tmp_path / "run1"
    trained = invoke("train", photos, "--output", output, *SETTINGS, "--device", "cpu", "--threads", 1)
    assert trained.exit_code == 0, trained.output
    page = output / "report.html"
    assert f"report    {page}" in trained.stdout
    first = page.read_bytes()
    page.unlink()
    again = invoke("report", output, "--device", "cpu", "--threads", 1)
    assert (again.exit_code, again.stdout) == (0, f"{page}\n")
    assert page.read_bytes() == first


def test_the_command_on_the_page_does_the_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = write_class_folders(tmp_path / "a folder's photos", 8)
    output = tmp_path / "run1"
    chosen = ("--device", "cpu", "--validation-split", "0.25", "--optimizer", "adam", "--seed", 5, "--no-report")
    assert invoke("train", photos, "--output", output, *SETTINGS, *chosen).exit_code == 0
    program, *arguments = shlex.split(command_of(read_record(output)))
    assert program == "imclass"
    monkeypatch.chdir(tmp_path)
    again = invoke(*arguments, "--device", "cpu", "--no-report")
    assert again.exit_code == 0, again.output
    models = [artifact.read(folder / "model.tar.gz") for folder in (output, tmp_path / NEW_OUTPUT)]
    assert models[0][0].hyperparameters == models[1][0].hyperparameters
    assert all(torch.equal(tensor, models[1][1][name]) for name, tensor in models[0][1].items())


def test_a_run_without_a_report(tmp_path: Path) -> None:
    photos = write_class_folders(tmp_path / "photos", 8)
    output = tmp_path / "run1"
    trained = invoke("train", photos, "--output", output, *SETTINGS, "--device", "cpu", "--no-report", "--quiet")
    assert (trained.exit_code, trained.stdout) == (0, "")
    assert (output / "model.tar.gz").exists()
    assert not (output / "report.html").exists()


def test_a_model_on_images(save_model: SaveModel, tmp_path: Path) -> None:
    photos = write_class_folders(tmp_path / "photos", 3)
    for old, new in (("bars", "cat"), ("dots", "dog"), ("rings", "owl")):
        (photos / old).rename(photos / new)
    made = invoke("report", save_model(), photos, "--output", tmp_path / "out", "--device", "cpu", "--quiet")
    assert (made.exit_code, made.stdout) == (0, "")
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run1", "--output", "x"], "--output belongs to the report of a model on SOURCE"),
        (["run1", "--image-root", "x", "--stream"], "--image-root, --stream belongs to"),
        (["run1", "--label-format", "class-id"], "--label-format belongs to"),
        (["model", "photos"], "give --output DIR"),
        (["model", "photos", "--output", "x", "--folds", "3"], "--folds belongs to the report of a run"),
        (["run1", "--folds", "1"], "0, or 2 or more"),
    ],
)
def test_usage_errors(arguments: list[str], said: str) -> None:
    result = invoke("report", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_model_without_images(save_model: SaveModel) -> None:
    result = invoke("report", save_model())
    assert result.exit_code == 2
    assert "is no output folder of a run; with a model file give SOURCE, labelled images" in result.stderr


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    result = invoke("report", tmp_path)
    assert result.exit_code == 2
    assert "this is not the output folder of a run: run.json cannot be read" in result.stderr
