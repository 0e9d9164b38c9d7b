import numpy as np
import pytest
import torch

from imclass.hyperparameters import parse
from imclass.training.losses import balanced_weights, plain_loss, positive_weights, training_loss

CPU = torch.device("cpu")
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])


def test_cross_entropy_by_hand() -> None:
    losses = plain_loss(False)(LOGITS, torch.tensor([[0.0], [1.0]]))
    expected = [-np.log(np.exp(2) / (np.exp(2) + 1 + np.exp(-1))), -np.log(np.exp(0.5) / (2 * np.exp(0.5) + np.exp(3)))]
    assert losses.numpy() == pytest.approx(expected, rel=1e-5)


def test_binary_cross_entropy_is_the_mean_over_classes() -> None:
    labels = torch.tensor([[1.0, 0.0, 1.0]])
    losses = plain_loss(True)(LOGITS[:1], labels)
    probabilities = 1 / (1 + np.exp(-LOGITS[0].numpy()))
    expected = -np.mean([np.log(probabilities[0]), np.log(1 - probabilities[1]), np.log(probabilities[2])])
    assert losses.item() == pytest.approx(expected, rel=1e-5)


def test_gradient_is_mxnets_logistic_regression_output() -> None:
    logits = LOGITS.clone().requires_grad_()
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    plain_loss(True)(logits, labels).sum().backward()
    assert logits.grad is not None
    assert torch.allclose(logits.grad, (torch.sigmoid(LOGITS) - labels) / 3, atol=1e-6)


def test_balanced_weights_even_out_classes() -> None:
    labels = np.array([[0], [0], [0], [1]], np.float32)
    weights = balanced_weights(labels, 3)
    assert weights.tolist() == pytest.approx([4 / 6, 2.0, 0.0])
    assert np.mean(weights[labels[:, 0].astype(int)]) == pytest.approx(1.0)


def test_positive_weights_even_out_answers() -> None:
    labels = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]], np.float32)
    assert positive_weights(labels).tolist() == pytest.approx([3.0, 1.0, 1.0])


def test_training_loss_takes_its_weights_from_the_labels() -> None:
    labels = np.array([[0], [0], [0], [1]], np.float32)
    settings = parse({"num_classes": 3, "class_weights": "balanced"})
    weighted = training_loss(settings, labels, CPU)(LOGITS, torch.tensor([[0.0], [1.0]]))
    plain = plain_loss(False)(LOGITS, torch.tensor([[0.0], [1.0]]))
    assert torch.allclose(weighted, plain * torch.tensor([4 / 6, 2.0]))

    multi = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 1, 0]], np.float32)
    settings = parse({"num_classes": 3, "multi_label": 1, "use_weighted_loss": 1})
    truth = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    weighted = training_loss(settings, multi, CPU)(LOGITS, truth)
    plain = plain_loss(True)(LOGITS, truth)
    assert weighted[1] == plain[1]
    assert weighted[0] != plain[0]


def test_label_smoothing_spreads_the_target() -> None:
    settings = parse({"num_classes": 3, "label_smoothing": 0.3})
    smoothed = training_loss(settings, np.zeros((4, 1), np.float32), CPU)(LOGITS[:1], torch.tensor([[0.0]]))
    logs = torch.log_softmax(LOGITS[0], 0)
    assert smoothed.item() == pytest.approx(-(0.8 * logs[0] + 0.1 * logs[1] + 0.1 * logs[2]).item(), rel=1e-5)
