import pytest

from imclass.errors import DataError
from imclass.training.labels import count_classes
from tests.data.labelled import Labelled


def test_classes_are_counted_from_names_columns_or_labels() -> None:
    assert count_classes(Labelled([[0], [2]]), False) == 3
    assert count_classes(Labelled([[0], [2]], tuple("abcd")), False) == 4
    assert count_classes(Labelled([[0, 1, 0, 1, 1]]), True) == 5


def test_a_stray_label_makes_no_huge_network() -> None:
    with pytest.raises(DataError, match=r"sample 1 has label 1e\+09(.|\n)*num_classes"):
        count_classes(Labelled([[0], [1e9]]), False)
