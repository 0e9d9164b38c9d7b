"""Losses, one value a sample, so that the step decides how to average them."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from imclass.hyperparameters import Hyperparameters

# logits (n, num_classes) and labels (n, L) to losses (n,), float32
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def plain_loss(multi_label: bool) -> Loss:
    """The loss that evaluation reports: cross-entropy, or binary cross-entropy averaged over the classes."""
    return _softmax_loss(0.0, None) if not multi_label else _sigmoid_loss(None)


def training_loss(hyperparameters: Hyperparameters, labels: NDArray[np.float32] | None, device: torch.device) -> Loss:
    """The loss that training minimises.

    Args:
        hyperparameters: `multi_label`, `use_weighted_loss`, `class_weights`, `label_smoothing`, `num_classes` count.
        labels: (N, L) float32, all labels of the training set, for the weights; None where nobody knows them,
            which goes without weights only.
        device: where the weights live.
    """
    assert hyperparameters.num_classes is not None
    if hyperparameters.multi_label:
        if not hyperparameters.use_weighted_loss:
            return _sigmoid_loss(None)
        assert labels is not None
        return _sigmoid_loss(torch.from_numpy(positive_weights(labels)).to(device))
    weights = None
    if hyperparameters.class_weights == "balanced":
        assert labels is not None
        weights = torch.from_numpy(balanced_weights(labels, hyperparameters.num_classes)).to(device)
    return _softmax_loss(hyperparameters.label_smoothing, weights)


def balanced_weights(labels: NDArray[np.float32], num_classes: int) -> NDArray[np.float32]:
    """Weight of each class, N / (classes present * count): rare classes count as much as common ones in sum.

    A class without samples gets weight 0. The mean weight over the samples is 1. Shape (num_classes,).
    """
    counts = np.bincount(labels[:, 0].astype(np.int64), minlength=num_classes)
    present = np.count_nonzero(counts)
    weights = np.zeros(num_classes, np.float32)
    np.divide(len(labels), present * counts, out=weights, where=counts > 0, casting="same_kind")
    return weights


def positive_weights(labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weight of a positive answer of each class, negatives / positives, so that both sides weigh the same in sum.

    A class that is never positive gets weight 1. Shape (L,).
    """
    positives = (labels > 0.5).sum(axis=0)
    weights = np.ones(labels.shape[1], np.float32)
    np.divide(len(labels) - positives, positives, out=weights, where=positives > 0, casting="same_kind")
    # A class that is positive in every sample would get weight 0 and never be learnt.
    weights[weights == 0] = 1.0
    return weights


def _softmax_loss(label_smoothing: float, weights: torch.Tensor | None) -> Loss:
    """Cross-entropy against the label, which takes 1 - label_smoothing + label_smoothing/num_classes of the target."""

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        classes = labels[:, 0].long()
        losses = F.cross_entropy(logits.float(), classes, reduction="none", label_smoothing=label_smoothing)
        return losses if weights is None else losses * weights[classes]

    return loss


def _sigmoid_loss(positive_weight: torch.Tensor | None) -> Loss:
    """Binary cross-entropy of each class, averaged over the classes (MXNet's LogisticRegressionOutput)."""

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        losses = F.binary_cross_entropy_with_logits(
            logits.float(), labels, reduction="none", pos_weight=positive_weight
        )
        return losses.mean(dim=1)

    return loss
