import numpy as np
import pytest

from imclass.reports.numbers.thresholds import Threshold, selection, threshold_for

CONFIDENCE = np.array([0.9, 0.8, 0.8, 0.6, 0.5])
IS_RIGHT = np.array([1, 1, 0, 1, 0], np.bool_)


def test_equal_probabilities_are_one_threshold() -> None:
    found = selection(CONFIDENCE, IS_RIGHT)
    assert found.thresholds.tolist() == [0.9, 0.8, 0.6, 0.5]
    assert found.coverage.tolist() == pytest.approx([0.2, 0.6, 0.8, 1])
    assert found.precision.tolist() == pytest.approx([1, 2 / 3, 3 / 4, 3 / 5])


def test_the_widest_coverage_that_is_precise_enough() -> None:
    found = selection(CONFIDENCE, IS_RIGHT)
    assert threshold_for(found, 0.7) == Threshold(0.7, 0.6, 0.8, 0.75)
    assert threshold_for(found, 0.99) == Threshold(0.99, 0.9, 0.2, 1.0)


def test_what_the_table_promises_holds_for_the_images() -> None:
    generator = np.random.default_rng(3)
    confidence = generator.random(300).round(2)
    is_right = generator.random(300) < confidence
    for wanted in (0.5, 0.8, 0.9):
        found = threshold_for(selection(confidence, is_right), wanted)
        assert found.threshold is not None
        given = confidence >= found.threshold
        assert is_right[given].mean() == pytest.approx(found.precision)
        assert found.precision >= wanted
        assert given.mean() == pytest.approx(found.coverage)


def test_a_precision_that_cannot_be_reached() -> None:
    assert threshold_for(selection(np.array([0.9, 0.4]), np.array([False, True])), 0.8).threshold is None
    assert threshold_for(selection(np.zeros(0), np.zeros(0, np.bool_)), 0.8).threshold is None
