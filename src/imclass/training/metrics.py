"""Sums that stay on the device, and the figures they give."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

FIRST_BAD_STEP_NONE = 1 << 52  # a step number that no run reaches, exact in float64


def correct_answers(logits: torch.Tensor, labels: torch.Tensor, multi_label: bool) -> torch.Tensor:
    """Share of right answers of each sample, (n,) float32: 0 or 1, or the share of classes when multi-label.

    A class counts as predicted when its probability is above 0.5, its logit above 0.
    """
    if multi_label:
        return ((logits > 0) == (labels > 0.5)).float().mean(dim=1)
    return (logits.argmax(dim=1) == labels[:, 0].long()).float()


def in_top(logits: torch.Tensor, labels: torch.Tensor, k: int) -> torch.Tensor:
    """Whether the label is among the k largest logits, (n,) float32 of 0 or 1."""
    largest = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return (largest == labels[:, :1].long()).any(dim=1).float()


class RunningSums:
    """Sums over the samples of an epoch: samples, loss, correct answers, top-k answers, on the device.

    `first_bad_step` is the first step whose loss was not finite.
    """

    NAMES = ("samples", "loss", "correct", "in_top_k")

    def __init__(self, device: torch.device, top_k: int | None, multi_label: bool) -> None:
        self.top_k = top_k
        self.multi_label = multi_label
        self.sums = torch.zeros(len(self.NAMES), dtype=torch.float64, device=device)
        self.first_bad_step = torch.full((), FIRST_BAD_STEP_NONE, dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, logits: torch.Tensor, labels: torch.Tensor, losses: torch.Tensor, step: int) -> None:
        """Take a batch: logits (n, num_classes), labels (n, L), losses (n,). Nothing is read back."""
        top = in_top(logits, labels, self.top_k).sum() if self.top_k and not self.multi_label else losses.new_zeros(())
        loss = losses.sum()
        row = [loss, correct_answers(logits, labels, self.multi_label).sum(), top]
        self.sums[0] += len(losses)
        self.sums[1:] += torch.stack(row).double()
        # torch.where would wait for the device to copy its two numbers there.
        bad = torch.full_like(self.first_bad_step, step).masked_fill_(torch.isfinite(loss), FIRST_BAD_STEP_NONE)
        self.first_bad_step = torch.minimum(self.first_bad_step, bad)

    def read(self) -> "Totals":
        """Read the sums back: a synchronisation, so only to log."""
        samples, loss, correct, top = self.sums.tolist()
        bad = int(self.first_bad_step.item())
        return Totals(samples, loss, correct, top, None if bad == FIRST_BAD_STEP_NONE else bad)


@dataclass(frozen=True)
class Totals:
    """What `RunningSums` held when read."""

    samples: float
    loss: float
    correct: float
    in_top_k: float
    first_bad_step: int | None

    def per_sample(self, total: float) -> float:
        return total / self.samples if self.samples else 0.0

    @property
    def mean_loss(self) -> float:
        return self.per_sample(self.loss)

    @property
    def accuracy(self) -> float:
        return self.per_sample(self.correct)

    @property
    def top_k_accuracy(self) -> float:
        return self.per_sample(self.in_top_k)


def average_precisions(scores: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Average precision of each class: the mean, over its positive samples, of the precision at that sample's score.

    Args:
        scores: (N, K), higher means more likely.
        labels: (N, K), positive above 0.5.

    Returns:
        (K,) float64; NaN for a class without positive samples. Samples with equal scores count as one threshold,
        so the value does not depend on the order of the samples.
    """
    results = np.full(scores.shape[1], np.nan)
    for number in range(scores.shape[1]):
        positive = labels[:, number] > 0.5
        if not positive.any():
            continue
        order = np.argsort(-scores[:, number], kind="stable")
        ranked, hits = scores[order, number], np.cumsum(positive[order])
        last_of_tie = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        precision = hits[last_of_tie] / (last_of_tie + 1)
        gained = np.diff(np.concatenate([[0], hits[last_of_tie]]))
        results[number] = float(np.sum(precision * gained) / positive.sum())
    return results


def precision_recall_f1(
    true_positives: NDArray[np.int64], predicted: NDArray[np.int64], actual: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Per-class precision, recall and F1 (0 where nothing was predicted or nothing exists), each (K,) float64."""
    zeros = np.zeros(len(actual))
    precision = np.divide(true_positives, predicted, out=zeros.copy(), where=predicted > 0)
    recall = np.divide(true_positives, actual, out=zeros.copy(), where=actual > 0)
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=zeros.copy(), where=total > 0)
    return precision, recall, f1
