"""Whether probabilities can be taken at their word, and one number that mends them.

A model is calibrated when, of the answers that it gives with probability p, a share p is right. Networks are usually
surer than that. Temperature scaling divides all logits by one number T, fitted on images that the network was not
trained on; it changes no answer, only how sure the answers are.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017); the calibration
error in bins is that of M. P. Naeini, G. F. Cooper, M. Hauskrecht (AAAI 2015).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Bins of equal width, as in the paper."""

COLDEST, HOTTEST = 0.05, 20.0
"""Bounds of a temperature. Where every answer is right, the likeliest one would be 0."""

_MOST_STEPS = 100
_PRECISION = 1e-9  # relative, of a temperature

Floats = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Answers in bins of the probability that they were given with.

    Attributes:
        edges: (B + 1,) float64 from 0 to 1.
        counts: (B,) int64, answers in each bin; a bin has its upper edge.
        confidence: (B,) float64, mean probability of a bin's answers; NaN in an empty bin.
        accuracy: (B,) float64, share of them that is right; NaN in an empty bin.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean over the answers of |accuracy - confidence| of their bin; 0 without any."""
        full = self.counts > 0
        gaps = np.abs(self.accuracy[full] - self.confidence[full])
        return float((gaps * self.counts[full]).sum() / max(int(self.counts.sum()), 1))


def reliability(confidence: Floats, is_right: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Compare how sure answers were with how often they were right.

    Args:
        confidence: (N,) 0 to 1, probability of each answer.
        is_right: (N,) whether it was right.
        bins: of equal width.
    """
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.ceil(confidence.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(places, confidence, bins) / counts
        accuracy = np.bincount(places, is_right, bins) / counts
    return Reliability(edges, counts, mean_confidence, accuracy)


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.float32], *, multi_label: bool) -> float:
    """The temperature under which the labels are likeliest.

    The log-likelihood is concave in 1 / T: Newton's steps find its top, and where one would leave the interval in which
    the top must be, the interval is halved.

    Args:
        logits: (N, K), N above 0, finite, of images that the network was not trained on.
        labels: (N, 1) class numbers; or (N, K) of 0 and 1 when multi-label.

    Returns:
        Between `COLDEST` and `HOTTEST`; above 1 where the network is too sure.
    """
    exact = logits.astype(np.float64)
    slopes = _multi_label_slopes(exact, labels > 0.5) if multi_label else _single_label_slopes(exact, labels)
    low, high, sharpness = 1 / HOTTEST, 1 / COLDEST, 1.0
    for _ in range(_MOST_STEPS):
        first, second = slopes(sharpness)
        low, high = (sharpness, high) if first > 0 else (low, sharpness)
        newton = sharpness - first / second if second < 0 else low
        following = newton if low < newton < high else (low + high) / 2
        if abs(following - sharpness) <= _PRECISION * sharpness:
            break
        sharpness = following
    return float(np.clip(1 / sharpness, COLDEST, HOTTEST))


def probabilities_of(logits: Floats, *, multi_label: bool, temperature: float = 1.0) -> NDArray[np.float64]:
    """Softmax of each row (sigmoid of each number when multi-label) of logits / T: (N, K) float64."""
    scaled = logits.astype(np.float64) / temperature
    return _sigmoid(scaled) if multi_label else _softmax(scaled)


def calibrated(probabilities: NDArray[np.float32], temperature: float, *, multi_label: bool) -> NDArray[np.float32]:
    """Probabilities as they would be with all logits divided by the temperature.

    Nothing is lost by not having the logits: softmax(z / T) is softmax(log(softmax(z)) / T).

    Args:
        probabilities: (N, K), of a softmax, or of sigmoids when multi-label.
        temperature: above 0.

    Returns:
        (N, K) float32.
    """
    exact = probabilities.astype(np.float64)
    with np.errstate(divide="ignore"):
        logits = np.log(exact) - (np.log1p(-exact) if multi_label else 0)
    return probabilities_of(logits, multi_label=multi_label, temperature=temperature).astype(np.float32)


Slopes = Callable[[float], tuple[float, float]]
"""The first and the second derivative of the mean log-likelihood along 1 / T."""


def _single_label_slopes(logits: NDArray[np.float64], labels: NDArray[np.float32]) -> Slopes:
    of_label = np.take_along_axis(logits, labels[:, :1].astype(np.int64), axis=1)[:, 0]

    def slopes(sharpness: float) -> tuple[float, float]:
        """The label's logit less the mean that is expected, and the variance that is."""
        chances = _softmax(logits * sharpness)
        weighted = chances * logits
        mean = weighted.sum(axis=1)
        variance = (weighted * logits).sum(axis=1) - mean**2
        return float((of_label - mean).mean()), -float(variance.mean())

    return slopes


def _multi_label_slopes(logits: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> Slopes:
    def slopes(sharpness: float) -> tuple[float, float]:
        chances = _sigmoid(logits * sharpness)
        second = chances * (1 - chances) * logits**2
        return float(((is_positive - chances) * logits).mean()), -float(second.mean())

    return slopes


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without overflow on either side."""
    power = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + power), power / (1 + power))
