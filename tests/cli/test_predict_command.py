"""`imclass predict` with a real model."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import imclass
from imclass.cli import app
from imclass.cli.predict import find_images, likeliest

NAMES = ("cat", "dog", "owl")


@pytest.fixture
def model(save_model: Callable[..., Path]) -> Path:
    return save_model()


@pytest.fixture
def photos(tmp_path: Path, write_png: Callable[..., Path], pixels_of: Callable[..., np.ndarray]) -> list[Path]:
    """Four images in a folder, one of them a folder deeper."""
    names = ("a.png", "b.PNG", "c.png", "more/d.png")
    return [write_png(tmp_path / "photos" / name, pixels_of(seed)) for seed, name in enumerate(names)]


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_plain_lines_are_path_class_probability(model: Path, photos: list[Path]) -> None:
    result = invoke(model, *photos)
    assert (result.exit_code, result.stderr) == (0, "")
    probabilities = imclass.load(model).predict(photos)
    expected = [
        f"{path}\t{NAMES[row.argmax()]}\t{row.max():.6f}" for path, row in zip(photos, probabilities, strict=True)
    ]
    assert result.stdout.splitlines() == expected


def test_top_k_lists_the_likeliest_first(model: Path, photos: list[Path]) -> None:
    lines = [line.split("\t") for line in invoke(model, photos[0], "--top-k", 2).stdout.splitlines()]
    row = imclass.load(model).predict([photos[0]])[0]
    order = np.argsort(-row)
    assert [line[1] for line in lines] == [NAMES[order[0]], NAMES[order[1]]]
    assert len(invoke(model, photos[0], "--top-k", 99).stdout.splitlines()) == 3


def test_json_lines_hold_the_exact_values(model: Path, photos: list[Path]) -> None:
    result = invoke(model, *photos, "--json", "--top-k", 3)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["path"] for answer in answers] == list(map(str, photos))
    probabilities = imclass.load(model).predict(photos)
    for answer, row in zip(answers, probabilities, strict=True):
        for prediction in answer["predictions"]:
            assert prediction["class"] == NAMES[prediction["index"]]
            assert np.float32(prediction["probability"]) == row[prediction["index"]]
        values = [prediction["probability"] for prediction in answer["predictions"]]
        assert values == sorted(values, reverse=True)


def test_unreadable_files_are_named_and_the_others_predicted(model: Path, photos: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    missing, empty = tmp_path / "none.png", tmp_path / "empty"
    empty.mkdir()
    result = invoke(model, photos[0], broken, missing, empty, photos[2])
    assert result.exit_code == 2
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == [str(photos[0]), str(photos[2])]
    assert len(result.stderr.strip().splitlines()) == 3
    assert f"imclass: error: {missing}: no such file" in result.stderr
    assert f"imclass: error: {empty}: this folder holds no JPEG or PNG file" in result.stderr
    assert f"imclass: error: {broken}: " in result.stderr


def test_folders_expand_to_their_images(photos: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.png").write_bytes(b"x")
    (folder / ".y.png").write_bytes(b"y")
    (folder / "loop").symlink_to(folder)
    paths, problems = find_images([photos[2], folder])
    assert (paths, problems) == ([photos[2], *photos], [])


def test_equal_probabilities_are_in_order_of_class() -> None:
    row = np.array([0.25, 0.5, 0.25], np.float32)
    assert likeliest(row, NAMES, 3) == ((1, "dog", 0.5), (0, "cat", 0.25), (2, "owl", 0.25))


def test_a_terminal_gets_a_table(model: Path, photos: list[Path]) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "imclass", "predict", str(model), photos[0].name]
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, cwd=photos[0].parent, env=environment) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux reports the end of a terminal this way
                break
            if not part:
                break
            text += part
    os.close(ours)
    assert process.returncode == 0
    for said in ("probability", "a.png", "%", "┃"):
        assert said in text.decode()
