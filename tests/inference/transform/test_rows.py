"""Results as bytes."""

import csv

import numpy as np

from imclass.inference.serving.responses import Form, Labels
from imclass.inference.transform.rows import CsvRows, keyed, predicted_labels

LABELS = Labels(("cat", 'do"g,', "owl"), multi_label=False)
SEVERAL = Labels(("cat", "dog", "owl"), multi_label=True)
PROBABILITIES = np.array([[0.1, 0.6257858276367188, 0.3], [0.7, 0.1, 0.6]], np.float32)


class Keys:
    keys = ("a,b.jpg", "ü\udcff.jpg")


def test_rows_of_json_lines_begin_with_the_key() -> None:
    assert keyed('a"b', b"[0.5, 0.5]", Form.ARRAY) == b'{"key": "a\\"b", "prediction": [0.5, 0.5]}'
    assert keyed("a", b'{"prediction": [0.5]}\n', Form.LINES) == b'{"key": "a", "prediction": [0.5]}'


def test_lines_of_csv() -> None:
    rows = CsvRows(Keys(), LABELS)  # type: ignore[arg-type]
    text = rows.header + b"".join(rows.rows([0, 1], PROBABILITIES))
    header, *lines = csv.reader(text.decode().splitlines())
    assert header == ["key", "predicted_label", "probability_cat", 'probability_do"g,', "probability_owl"]
    assert [line[:2] for line in lines] == [["a,b.jpg", 'do"g,'], ["ü\ufffd.jpg", "cat"]]
    assert lines[0][3] == "0.6257858276367188"
    np.testing.assert_array_equal(np.array([line[2:] for line in lines], np.float64), PROBABILITIES.astype(np.float64))


def test_several_labels_are_all_above_the_threshold() -> None:
    assert predicted_labels(PROBABILITIES, SEVERAL) == [["dog"], ["cat", "owl"]]
    rows = CsvRows(Keys(), SEVERAL)  # type: ignore[arg-type]
    assert rows.header.startswith(b"key,predicted_labels,")
    assert rows.rows([0, 1], PROBABILITIES)[1].decode().split(",")[1] == "cat;owl"
