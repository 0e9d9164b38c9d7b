import numpy as np
import pytest

from imclass.reports.numbers.judged import Judged
from imclass.reports.numbers.label_errors import (
    class_thresholds,
    confident_classes,
    doubted_decisions,
    estimated_errors,
    suspects,
)

# Class thresholds by hand: class 0 is (0.9 + 0.8 + 0.1) / 3 = 0.6, class 1 is (0.7 + 0.5) / 2 = 0.6; 2 has no images.
JUDGED = Judged(
    np.array([[0.9, 0.1, 0.0], [0.8, 0.1, 0.1], [0.1, 0.85, 0.05], [0.2, 0.7, 0.1], [0.45, 0.5, 0.05]]),
    np.array([0, 0, 0, 1, 1]),
)


def test_thresholds_are_mean_probabilities_of_a_class_in_its_own_images() -> None:
    assert class_thresholds(JUDGED).tolist() == pytest.approx([0.6, 0.6, np.inf])


def test_a_class_is_confidently_there_from_its_threshold_on() -> None:
    assert confident_classes(JUDGED).tolist() == [0, 0, 1, 1, -1]


def test_images_that_are_sure_of_nothing_count_in_proportion() -> None:
    # Of label 0 two are sure of class 0 and one of class 1, of three; of label 1 one is sure, of class 1.
    assert estimated_errors(JUDGED).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    unsure = Judged(
        np.concatenate([JUDGED.probabilities, np.tile([[0.5, 0.4, 0.1]], (3, 1))]), np.array([0, 0, 0, 1, 1, 0, 0, 0])
    )
    # Class 0 now needs 3.3 / 6 = 0.55: the three more are sure of nothing, so 1 of 3 sure ones stands for 2 of 6.
    assert estimated_errors(unsure).tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 0]]


def test_the_least_probable_labels_are_suspected() -> None:
    found = suspects(JUDGED)
    assert (found.rows.tolist(), found.suggestions.tolist(), len(found)) == ([2], [1], 1)
    assert found.label_probabilities.tolist() == pytest.approx([0.1])


def test_the_estimated_number_is_listed_whatever_class_the_doubted_labels_have() -> None:
    """One error is estimated, of label 0. The least probable label is one of class 1, whose answer is not confident."""
    judged = Judged(
        np.array(
            [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.3, 0.7, 0.0], [0.1, 0.9, 0.0], [0.1, 0.9, 0.0], [0.5, 0.1, 0.4]]
        ),
        np.array([0, 0, 0, 1, 1, 1]),
    )
    assert estimated_errors(judged).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    found = suspects(judged)
    assert (found.rows.tolist(), found.suggestions.tolist()) == ([5], [0])


def test_swapped_labels_are_found_and_the_worst_come_first() -> None:
    generator = np.random.default_rng(0)
    truths = generator.integers(0, 5, 1000)
    logits = generator.normal(0, 1, (1000, 5))
    logits[np.arange(1000), truths] += 4
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = truths.copy()
    labels[:40] = (labels[:40] + 1) % 5
    found = suspects(Judged(probabilities, labels))
    hits = found.rows < 40
    assert hits.sum() / 40 >= 0.9
    assert hits.mean() >= 0.8
    assert np.all(np.diff(found.label_probabilities) >= 0)
    assert (found.suggestions[hits] == truths[found.rows[hits]]).mean() > 0.95


def test_clean_and_certain_labels_are_not_suspected() -> None:
    assert len(suspects(Judged(np.eye(4), np.arange(4)))) == 0


def test_each_class_of_several_labels_is_judged_by_itself() -> None:
    # Class 0 by hand: where it is labelled its mean probability is (0.9 + 0.8 + 0.2) / 3 = 0.633, where it is not, that
    # of its absence is (0.9 + 0.8 + 0.15) / 3 = 0.617. So the third image is surely without it, and the last surely
    # with it: one of the three with the label and one of the three without it are doubted.
    # Class 1 is answered as it is labelled. Class 2 is nowhere labelled, so nothing tells from when on it is sure.
    probabilities = np.array(
        [[0.9, 0.95, 0.1], [0.8, 0.05, 0.1], [0.2, 0.95, 0.1], [0.1, 0.05, 0.1], [0.2, 0.95, 0.1], [0.85, 0.05, 0.6]]
    )
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)
    found = doubted_decisions(probabilities, labels)
    assert (found.rows.tolist(), found.classes.tolist(), len(found)) == ([5, 2], [0, 0], 2)
    assert found.are_labelled.tolist() == [False, True]
    assert found.label_probabilities.tolist() == pytest.approx([0.15, 0.2])


def test_one_image_may_be_doubted_for_several_classes() -> None:
    sure, unsure = [0.99, 0.99], [0.01, 0.01]
    probabilities = np.array([sure] * 4 + [unsure] * 4)
    labels = (probabilities > 0.5).astype(np.float32)
    labels[0] = 0
    found = doubted_decisions(probabilities, labels)
    assert (found.rows.tolist(), found.classes.tolist()) == ([0, 0], [0, 1])
    assert not found.are_labelled.any()


def test_swapped_decisions_are_found_among_several_labels() -> None:
    generator = np.random.default_rng(0)
    truths = generator.random((1000, 4)) < [0.5, 0.3, 0.2, 0.1]
    logits = generator.normal(0, 1, truths.shape) + np.where(truths, 3, -3)
    labels = truths.astype(np.float32)
    swapped = generator.random(truths.shape) < 0.03
    labels[swapped] = 1 - labels[swapped]
    found = doubted_decisions(1 / (1 + np.exp(-logits)), labels)
    hits = swapped[found.rows, found.classes]
    assert hits.sum() / swapped.sum() >= 0.8
    assert hits.mean() >= 0.9
    assert np.array_equal(found.are_labelled, labels[found.rows, found.classes] > 0.5)
