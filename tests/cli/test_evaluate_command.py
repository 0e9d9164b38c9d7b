"""`imclass evaluate` with a real model and real files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import imclass
from imclass.cli import app

NAMES = ("cat", "dog", "owl")


@pytest.fixture
def model(save_model: Callable[..., Path]) -> Path:
    return save_model()


@pytest.fixture
def photos(tmp_path: Path, write_png: Callable[..., Path], pixels_of: Callable[..., np.ndarray]) -> Path:
    """Five images a class."""
    for seed in range(15):
        write_png(tmp_path / "photos" / NAMES[seed % 3] / f"{seed:02d}.png", pixels_of(seed))
    return tmp_path / "photos"


def invoke(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["evaluate", *map(str, arguments)])


def truth(model: Path, photos: Path) -> tuple[float, float, list[list[int]]]:
    """Accuracy, loss and confusion, worked out from what the predictor says."""
    predictor = imclass.load(model)
    confusion = np.zeros((3, 3), int)
    losses = []
    for label, name in enumerate(NAMES):
        rows = predictor.predict(sorted((photos / name).iterdir()))
        losses += list(-np.log(rows[:, label]))
        for row in rows:
            confusion[label, row.argmax()] += 1
    return float(confusion.trace() / confusion.sum()), float(np.mean(losses)), confusion.tolist()


def test_plain_output(model: Path, photos: Path) -> None:
    accuracy, loss, confusion = truth(model, photos)
    result = invoke(model, photos)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    values = {line[1]: line[2] for line in lines if line[0] == "figure"}
    assert values["images"] == "15"
    assert values["unreadable"] == "0"
    assert values["accuracy"] == f"{accuracy:.6f}"
    assert float(values["loss"]) == pytest.approx(loss, abs=1e-4)
    assert [line[1] for line in lines if line[0] == "class"] == list(NAMES)
    mistakes = sum(map(sum, confusion)) - sum(confusion[i][i] for i in range(3))
    assert sum(int(line[3]) for line in lines if line[0] == "confused") == mistakes


def test_json_has_everything(model: Path, photos: Path, tmp_path: Path) -> None:
    accuracy, loss, confusion = truth(model, photos)
    file = tmp_path / "report.json"
    result = invoke(model, photos, "--json", file, "--quiet")
    assert (result.exit_code, result.stdout) == (0, "")
    report = json.loads(file.read_text())
    assert report["accuracy"] == pytest.approx(accuracy)
    assert report["loss"] == pytest.approx(loss, abs=1e-4)
    assert report["confusion"] == confusion
    assert [entry["name"] for entry in report["classes"]] == list(NAMES)
    on_stdout = invoke(model, photos, "--json", "-")
    assert json.loads(on_stdout.stdout) == report


def test_unreadable_images_are_counted_and_named(model: Path, photos: Path) -> None:
    (photos / "cat" / "bad.png").write_bytes(b"not a picture")
    refused = invoke(model, photos)
    assert refused.exit_code == 2
    assert "bad.png" in refused.stderr
    result = invoke(model, photos, "--bad-image-limit", "0.5")
    assert result.exit_code == 0
    assert "figure\tunreadable\t1\n" in result.stdout
    assert "unreadable\tcat/bad.png\t" in result.stdout
    assert result.stderr.count("bad.png") == 1
    assert result.stderr.startswith("imclass: warning: ")


def test_a_list_with_an_image_root(model: Path, photos: Path, tmp_path: Path) -> None:
    lines = [
        f"{index}\t{NAMES.index(path.parent.name)}\t{path.relative_to(photos)}"
        for index, path in enumerate(sorted(photos.rglob("*.png")))
    ]
    (tmp_path / "val.lst").write_text("\n".join(lines) + "\n")
    from_list = invoke(model, tmp_path / "val.lst", "--image-root", photos)
    assert from_list.exit_code == 0
    assert from_list.stdout == invoke(model, photos).stdout


def test_a_folder_that_the_model_does_not_know(model: Path, photos: Path) -> None:
    (photos / "owl").rename(photos / "owls")
    result = invoke(model, photos)
    assert result.exit_code == 2
    assert "owls" in result.stderr
    assert "'owl'" in result.stderr


def test_a_report_that_cannot_be_written(model: Path, photos: Path, tmp_path: Path) -> None:
    result = invoke(model, photos, "--json", tmp_path / "none" / "report.json")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
