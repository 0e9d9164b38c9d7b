import numpy as np
import pytest

from imclass.reports.numbers.judged import Judged, least_certain, most_confidently_wrong, worst_decisions

JUDGED = Judged(
    np.array([[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.4, 0.35, 0.25], [0.3, 0.3, 0.4]]),
    np.array([0, 0, 1, 0, 0]),
)


def test_answers_beside_labels() -> None:
    assert JUDGED.answers.tolist() == [0, 1, 2, 0, 2]
    assert JUDGED.is_right.tolist() == [True, False, False, True, False]
    assert JUDGED.confidence.tolist() == [0.9, 0.7, 0.8, 0.4, 0.4]
    assert JUDGED.label_probability.tolist() == [0.9, 0.2, 0.1, 0.4, 0.3]
    assert JUDGED.lead.tolist() == pytest.approx([0.85, 0.5, 0.7, 0.05, 0.1])


def test_a_single_class_is_certain() -> None:
    assert Judged(np.ones((2, 1)), np.zeros(2, np.int64)).lead.tolist() == [1, 1]


def test_the_surest_mistakes_come_first() -> None:
    assert most_confidently_wrong(JUDGED, 2).tolist() == [2, 1]
    assert most_confidently_wrong(JUDGED, 9).tolist() == [2, 1, 4]


def test_the_closest_calls_come_first() -> None:
    assert least_certain(JUDGED, 3).tolist() == [3, 4, 1]


def test_decisions_are_wrong_beyond_one_half() -> None:
    probabilities = np.array([[0.9, 0.2], [0.4, 0.45], [0.1, 0.7]])
    labels = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
    assert worst_decisions(probabilities, labels, 9) == [(0, 0), (1, 0)]
    assert worst_decisions(probabilities, labels, 1) == [(0, 0)]
