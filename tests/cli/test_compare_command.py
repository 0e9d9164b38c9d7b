"""`imclass compare`: two runs on the same images, side by side."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imclass import artifact
from imclass.cli import app
from imclass.training import train
from tests.pictures import write_class_folders

SETTINGS = {"image_shape": "3,16,16", "num_layers": 8, "mini_batch_size": 8, "epochs": 1}


def invoke(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["compare", *map(str, arguments)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    photos = write_class_folders(root / "photos", 10)
    outputs = [root / "first", root / "second"]
    for output, rate in zip(outputs, (0.001, 0.05), strict=True):
        changed = SETTINGS | {"learning_rate": rate}
        train(photos, output=output, hyperparameters=changed, device="cpu", threads=1, quiet=True)
    return outputs


def test_runs_are_put_side_by_side(runs: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    result = invoke(*runs, "--html", page, "--device", "cpu")
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[:2] for line in lines if line[0] == "run"] == [["run", str(output)] for output in runs]
    assert ["different", "learning_rate", "0.001", "0.05"] in lines
    ((_, name, lost, won, chance),) = [line for line in lines if line[0] == "changed"]
    assert name == str(runs[1])
    accuracies = [float(line[2]) for line in lines if line[0] == "run"]
    assert (int(won) - int(lost)) / 6 == pytest.approx(accuracies[1] - accuracies[0], abs=1e-5)
    assert 0 < float(chance) <= 1
    text = page.read_text()
    assert text.count('<article class="exhibit">') == int(lost) + int(won)
    assert "learning_rate" in text
    assert 'src="http' not in text


def test_a_run_of_other_classes_is_not_compared_image_by_image(runs: list[Path], tmp_path: Path) -> None:
    other = Path(shutil.copytree(runs[1], tmp_path / "other"))
    description, network = artifact.load(other / "model.tar.gz")
    renamed = description.model_copy(update={"class_names": ("bars", "points", "rings")})
    artifact.save(other / "model.tar.gz", renamed, network.state_dict())
    result = invoke(runs[0], other, "--html", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    assert f"uncompared\t{other}\ttheir classes are not the same" in result.stdout.splitlines()
    assert "Their answers are not compared: their classes are not the same." in (tmp_path / "page.html").read_text()


def test_a_run_is_not_compared_with_itself(runs: list[Path]) -> None:
    result = invoke(runs[0], runs[1], runs[0] / ".." / "first")
    assert result.exit_code == 2
    assert "a run is named twice" in result.stderr


def test_one_run_is_nothing_to_compare(runs: list[Path]) -> None:
    result = invoke(runs[0])
    assert result.exit_code == 2
    assert "name two runs or more" in result.stderr


def test_every_folder_must_hold_a_run(runs: list[Path], tmp_path: Path) -> None:
    result = invoke(runs[0], tmp_path)
    assert result.exit_code == 2
    assert f"{tmp_path}: this is not the output folder of a run" in result.stderr
