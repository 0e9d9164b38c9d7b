"""Inputs beside their results."""

import json

import pytest

from imclass.data.joining import joined


@pytest.mark.parametrize(
    ("record", "result", "expected"),
    [
        ({"key": "a.jpg"}, b"[0.5]", b'{"key": "a.jpg", "SageMakerOutput": [0.5]}'),
        ([5, 1.0, "a.jpg"], b"[0.5]", b'{"SageMakerInput": [5, 1.0, "a.jpg"], "SageMakerOutput": [0.5]}'),
        ({}, b"[0.5]", b'{"SageMakerOutput": [0.5]}'),
        ({"SageMakerOutput": 1, "b": 2}, b"[0.5]", b'{"b": 2, "SageMakerOutput": [0.5]}'),
        ({"a": 1}, b'{"prediction": [0.5]}\n', b'{"a": 1, "SageMakerOutput": {"prediction": [0.5]}}\n'),
    ],
)
def test_join_of_input_and_result(record: object, result: bytes, expected: bytes) -> None:
    assert joined(record, result) == expected
    json.loads(expected)
