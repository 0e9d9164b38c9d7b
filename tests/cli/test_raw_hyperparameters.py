"""Hyperparameters from file, --set and options."""

from pathlib import Path

import pytest

from imclass.cli.raw_hyperparameters import gather
from imclass.errors import HyperparameterError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hp.json"
    path.write_text('{"learning_rate": "0.1", "epochs": "5", "optimizer": "\\"sgd\\""}')
    return path


def test_options_beat_set_beats_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = gather(file, ["epochs=6", "seed=1"], {"epochs": "7", "learning_rate": "0.1"})
    assert values == {
        "recipe": "sagemaker",
        "learning_rate": "0.1",
        "epochs": "7",
        "optimizer": '"sgd"',
        "seed": "1",
    }
    warnings = capsys.readouterr().err.splitlines()
    assert warnings == [
        f"imclass: warning: epochs: '6' from --set is used, not '5' from {file}",
        "imclass: warning: epochs: '7' from options is used, not '6' from --set",
    ]


def test_a_file_starts_from_the_original_unless_told_otherwise(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gather(file, [], {})["recipe"] == "sagemaker"
    assert gather(file, [], {"recipe": "modern"})["recipe"] == "modern"
    file.write_text('{"recipe": "modern"}')
    assert gather(file, [], {})["recipe"] == "modern"
    assert "recipe" not in gather(None, [], {"epochs": "3"})
    assert capsys.readouterr().err == ""


def test_values_keep_their_text_and_blanks_around_an_assignment_go() -> None:
    assert gather(None, ["lr_scheduler_step = 10, 20", "a==b"], {}) == {"lr_scheduler_step": "10, 20", "a": "=b"}


@pytest.mark.parametrize("text", ["epochs", "=3", " =3", ""])
def test_an_assignment_needs_a_name_and_a_value(text: str) -> None:
    with pytest.raises(HyperparameterError, match="is not NAME=VALUE"):
        gather(None, [text], {})
