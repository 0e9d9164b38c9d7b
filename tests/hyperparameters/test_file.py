"""Files of hyperparameters."""

import json
from pathlib import Path

import pytest

from imclass.errors import HyperparameterError
from imclass.hyperparameters.file import read_file


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
