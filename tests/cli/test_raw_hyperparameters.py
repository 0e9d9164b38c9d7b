"""Hyperparameters from file, --set and options."""

import json
from pathlib import Path

import pytest

from imclass.cli.raw_hyperparameters import gather, read_file
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


def test_numbers_booleans_null_and_lists_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "hp.json"
    values = {"epochs": 3, "learning_rate": 0.5, "multi_label": True, "resize": None, "lr_scheduler_step": [1, 2]}
    path.write_text(json.dumps(values), encoding="utf-8-sig")
    assert read_file(path) == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"epochs": "3",}', "line 1, column"),
        (b'{\n"epochs" "3"}', "line 2, column 10"),
        (b"", "not JSON"),
        (b'["epochs"]', "holds a list, not an object"),
        (b'"epochs"', "holds a string"),
        (b"3", "holds a number"),
        (
            b'{"a": {"b": "1"}, "c": [[1]], "d": [{"e": 1}]}',
            "a: the value is a nested object\n  - c: the value is a list",
        ),
        (b'{"a": "1", "a": "2", "b": "1", "b": "1", "b": "1"}', "a: given 2 times\n  - b: given 3 times"),
        (b'{"a": "\xff"}', "byte 7"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_files_are_explained(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "hp.json"
    path.write_bytes(text)
    with pytest.raises(HyperparameterError) as caught:
        read_file(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "Write a flat object of strings" in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(HyperparameterError, match="No such file"):
        read_file(tmp_path / "none.json")
    with pytest.raises(HyperparameterError, match="directory"):
        read_file(tmp_path)
