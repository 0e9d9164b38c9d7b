"""`imclass convert` with real models."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from imclass import artifact
from imclass.cli import app
from tests.pictures import CLASSES, write_class_folders


def invoke(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["convert", *map(str, arguments)])


@pytest.fixture
def photo(tmp_path: Path, write_png: Callable[..., Path], pixels_of: Callable[..., np.ndarray]) -> Path:
    return write_png(tmp_path / "photos" / "a.png", pixels_of(1))


def test_it_writes_the_model_and_says_what_is_not_in_it(
    save_model: Callable[..., Path], tmp_path: Path, photo: Path
) -> None:
    output = tmp_path / "hosted.tar.gz"
    result = invoke(save_model(), output, "--to", "mxnet", "--images", photo.parent)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == f"model       {output}"
    assert "compared    1 images, largest difference 0.0e+00" in result.stdout
    assert "not in the file: class names" in result.stderr
    assert artifact.read_description(output).num_layers == 8


def test_programs_are_described_by_the_names_that_are_given(
    save_model: Callable[..., Path], tmp_path: Path, photo: Path
) -> None:
    names, output = tmp_path / "names.txt", tmp_path / "m.pt2"
    names.write_text("red\ngreen\nblue\n")
    result = invoke(
        save_model(class_names=None), output, "--to", "torch", "--images", photo.parent, "--class-names", names
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == f"model       {output}"
    extra = {"imclass.json": ""}
    torch.export.load(output, extra_files=extra)
    assert json.loads(extra["imclass.json"])["class_names"] == ["red", "green", "blue"]


def test_half_precision_is_for_mxnet(save_model: Callable[..., Path], tmp_path: Path) -> None:
    output = tmp_path / "half.tar.gz"
    result = invoke(save_model(), output, "--to", "mxnet", "--dtype", "float16")
    assert result.exit_code == 0
    assert "compared    16 generated images" in result.stdout
    assert artifact.read_description(output).hyperparameters == {"precision_dtype": "float16"}
    result = invoke(save_model(), tmp_path / "m.onnx", "--to", "onnx", "--dtype", "float16")
    assert result.exit_code == 2
    assert "--dtype float16 belongs to --to mxnet" in result.stderr


def test_8_bit_integers(save_model: Callable[..., Path], tmp_path: Path) -> None:
    photos, output = write_class_folders(tmp_path / "photos", 4), tmp_path / "small.xml"
    arguments = (save_model(class_names=CLASSES), output, "--to", "openvino-int8", "--calibrate", photos)
    result = invoke(*arguments, "--max-accuracy-loss", 100)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:2] == [f"model       {output}, {output.with_suffix('.bin')}", "calibrated  on 6 images"]
    assert re.fullmatch(
        r"accuracy    0\.\d{4} before, 0\.\d{4} after, -?\d+\.\d\d points lost, on 6 other images", lines[2]
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--to", "openvino-int8"], "--to openvino-int8 and --calibrate SOURCE belong together"),
        (["--to", "onnx", "--calibrate", "photos"], "--to openvino-int8 and --calibrate SOURCE belong together"),
        (["--to", "onnx", "--max-accuracy-loss", "1"], "--max-accuracy-loss belongs to --to openvino-int8"),
        (
            ["--to", "openvino-int8", "--calibrate", "photos", "--images", "a.png"],
            "--images belongs to the other formats",
        ),
        (["--to", "openvino-int8", "--calibrate", "photos", "--max-accuracy-loss", "101"], "less than or equal"),
    ],
)
def test_options_of_8_bit_integers(tmp_path: Path, options: list[str], said: str) -> None:
    result = invoke("model.tar.gz", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_quiet_prints_warnings_only(save_model: Callable[..., Path], tmp_path: Path) -> None:
    result = invoke(save_model(), tmp_path / "hosted.tar.gz", "--to", "mxnet", "--quiet")
    assert (result.exit_code, result.stdout) == (0, "")


def test_what_cannot_be_done_is_an_error(save_model: Callable[..., Path], tmp_path: Path) -> None:
    output = tmp_path / "hosted.tar.gz"
    result = invoke(save_model(network="resnet_v1"), output, "--to", "mxnet")
    assert result.exit_code == 2
    assert "resnet_v2 only" in result.stderr
    result = invoke(save_model(), output, "--to", "mxnet", "--images", tmp_path / "none.png")
    assert result.exit_code == 2
    assert "no such file" in result.stderr
    result = invoke(save_model(), output, "--to", "tarot")
    assert result.exit_code == 2
    assert not output.exists()
