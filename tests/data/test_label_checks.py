"""Labels that do not fit the classes are named."""

import pytest

from imclass.data import check_labels, check_model_width, check_width
from imclass.errors import DataError
from tests.data.labelled import Labelled


def test_good_labels_pass() -> None:
    check_labels(Labelled([[0], [2]]), 3, False)
    check_labels(Labelled([[0, 1], [1, 1]]), 2, True)


@pytest.mark.parametrize(
    ("labels", "classes", "multi_label", "message"),
    [
        ([[0], [3], [-1]], 3, False, r"2 of 3 samples have labels outside 0\.\.2 .*\n.*sample 1: label 3\n.*sample 2"),
        ([[0], [1.5]], 3, False, "labels that are no whole numbers.*\n.*sample 1: label 1.5"),
        ([[float("nan")]], 3, False, "no whole numbers"),
        ([[0, 1], [0, 1]], 2, False, "multi_label=1 and num_classes=2"),
        ([[0, 2], [0, 1]], 2, True, "1 of 2 samples have labels other than 0 and 1.*\n.*sample 0: label 0,2"),
        ([[0, 1]], 3, True, "2 label columns, but num_classes is 3"),
        ([[0], [1]], None, True, "1 label column, more than one is needed"),
        ([[0, 1]], None, False, "2 label columns"),
    ],
)
def test_bad_labels_are_named(labels: list[list[float]], classes: int | None, multi_label: bool, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check(Labelled(labels), classes, multi_label)


def check(source: Labelled, num_classes: int | None, multi_label: bool) -> None:
    check_width(source, num_classes, multi_label)
    assert num_classes is not None
    check_labels(source, num_classes, multi_label)


def test_labels_must_be_those_that_a_model_gives() -> None:
    check_model_width(Labelled([[0], [2]]), 3, False)
    check_model_width(Labelled([[0, 1, 1]]), 3, True)
    with pytest.raises(DataError, match=r"2 label columns, but the model needs 1\n.*the number of that class alone"):
        check_model_width(Labelled([[0, 1]]), 3, False)
    with pytest.raises(DataError, match=r"1 label column, but the model needs 3\n.*one 0/1 column a class"):
        check_model_width(Labelled([[2]]), 3, True)


def test_many_bad_labels_are_counted() -> None:
    with pytest.raises(DataError, match="and 80 more"):
        check_labels(Labelled([[9]] * 100), 3, False)
