import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, precision_recall_fscore_support

from imclass.reports.numbers.classes import class_figures, count_images, matches_of
from imclass.reports.numbers.confusion import confusion_matrix
from imclass.reports.numbers.judged import Judged
from imclass.reports.numbers.precision_recall import precision_recall


def test_figures_are_those_of_the_field() -> None:
    generator = np.random.default_rng(0)
    judged = Judged(generator.random((300, 4)), generator.integers(0, 4, 300))
    found = class_figures(("a", "b", "c", "d"), matches_of(confusion_matrix(judged)), np.array([7, 8, 9, 10]))
    wanted = precision_recall_fscore_support(judged.labels, judged.answers)
    for entry, precision, recall, f1, images in zip(found, *wanted, strict=True):
        assert (entry.precision, entry.recall, entry.f1) == pytest.approx((precision, recall, f1))
        assert entry.images == images
    assert [entry.training_images for entry in found] == [7, 8, 9, 10]
    assert [entry.name for entry in found] == ["a", "b", "c", "d"]


def test_images_of_classes_are_counted_in_both_kinds_of_labels() -> None:
    assert count_images(np.array([[0], [2], [2]], np.float32), 4).tolist() == [1, 0, 2, 0]
    assert count_images(np.array([[1, 0], [1, 1]], np.float32), 2).tolist() == [2, 1]


def test_curves_of_a_multi_label_model_are_those_of_the_field() -> None:
    generator = np.random.default_rng(1)
    labels = (generator.random((120, 3)) < 0.3).astype(np.float32)
    labels[:, 2] = 0
    probabilities = np.clip(0.5 * labels + generator.random((120, 3)) * 0.6, 0, 1).astype(np.float32)
    found = precision_recall(probabilities.astype(np.float64), labels)
    assert found[2].average_precision is None
    for k in (0, 1):
        assert found[k].average_precision == pytest.approx(average_precision_score(labels[:, k], probabilities[:, k]))
        precision, recall, thresholds = precision_recall_curve(labels[:, k], probabilities[:, k])
        assert found[k].recall.tolist() == pytest.approx(recall[:-1][::-1].tolist())
        assert found[k].precision.tolist() == pytest.approx(precision[:-1][::-1].tolist())
        threshold = found[k].threshold
        assert threshold.threshold in thresholds.astype(np.float64)
        given = probabilities[:, k].astype(np.float64) >= threshold.threshold
        assert labels[given, k].mean() == pytest.approx(threshold.precision)
        assert threshold.precision >= 0.9
        assert labels[given, k].sum() / labels[:, k].sum() == pytest.approx(threshold.coverage)
