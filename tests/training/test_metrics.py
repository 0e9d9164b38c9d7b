import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from imclass.training.metrics import RunningSums, average_precisions, correct_answers, in_top, precision_recall_f1

CPU = torch.device("cpu")


def test_correct_answers_take_the_first_maximum() -> None:
    logits = torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    assert correct_answers(logits, torch.tensor([[0.0], [2.0]]), False).tolist() == [1.0, 0.0]


def test_multi_label_answers_are_averaged_over_classes() -> None:
    logits = torch.tensor([[1.0, -1.0, 0.5, -0.1]])
    assert correct_answers(logits, torch.tensor([[1.0, 1.0, 1.0, 0.0]]), True).tolist() == [0.75]


def test_in_top_k() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]] * 3)
    labels = torch.tensor([[0.0], [1.0], [3.0]])
    assert in_top(logits, labels, 2).tolist() == [1.0, 1.0, 0.0]
    assert in_top(logits, labels, 9).tolist() == [1.0, 1.0, 1.0]


def test_running_sums_and_the_first_bad_step() -> None:
    sums = RunningSums(CPU, top_k=2, multi_label=False)
    logits = torch.tensor([[3.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
    labels = torch.tensor([[0.0], [1.0]])
    sums.add(logits, labels, torch.tensor([0.5, 1.5]), step=7)
    assert sums.read().first_bad_step is None
    sums.add(logits, labels, torch.tensor([float("nan"), 1.0]), step=8)
    sums.add(logits, labels, torch.tensor([float("inf"), 1.0]), step=9)
    totals = sums.read()
    assert (totals.samples, totals.accuracy, totals.top_k_accuracy) == (6, 0.5, 1.0)
    assert totals.first_bad_step == 8


def test_empty_sums_give_zeros() -> None:
    totals = RunningSums(CPU, None, False).read()
    assert (totals.mean_loss, totals.accuracy) == (0.0, 0.0)


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_scikit_learns(ties: bool) -> None:
    generator = np.random.default_rng(5)
    scores = generator.normal(size=(300, 4)).astype(np.float32)
    if ties:
        scores = np.round(scores * 2) / 2
    labels = (generator.random((300, 4)) < [0.1, 0.5, 0.9, 0.0]).astype(np.float32)
    ours = average_precisions(scores, labels)
    for number in range(3):
        assert ours[number] == pytest.approx(average_precision_score(labels[:, number], scores[:, number]))
    assert np.isnan(ours[3])


def test_precision_recall_f1_are_scikit_learns() -> None:
    generator = np.random.default_rng(6)
    truth, answer = generator.integers(0, 5, 200), generator.integers(0, 4, 200)
    confusion = np.zeros((6, 6), np.int64)
    np.add.at(confusion, (truth, answer), 1)
    ours = precision_recall_f1(confusion.diagonal(), confusion.sum(0), confusion.sum(1))
    theirs = precision_recall_fscore_support(truth, answer, labels=range(6), zero_division=0.0)
    for mine, expected in zip(ours, theirs[:3], strict=True):
        assert mine == pytest.approx(expected)
