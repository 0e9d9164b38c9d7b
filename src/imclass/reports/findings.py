"""All numbers of a report, found in the answers of a model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imclass.calibration import Reliability, fit_temperature, probabilities_of, reliability
from imclass.images.inspection import SharedImage, overlap
from imclass.images.survey import survey
from imclass.reports.numbers.classes import ClassFigures, class_figures, count_images, matches_of
from imclass.reports.numbers.confusion import Confusion, confusion_matrix, similarity_order, top_confusions
from imclass.reports.numbers.judged import Judged, least_certain, most_confidently_wrong, worst_decisions
from imclass.reports.numbers.precision_recall import PrecisionRecall, precision_recall
from imclass.reports.numbers.thresholds import WANTED, Selection, Threshold, selection, threshold_for
from imclass.reports.subject import Subject
from imclass.reports.suspicions import Suspicion, suspicions
from imclass.training.answers import Answers

CONFUSIONS = 20
WRONG_SHOWN, UNCERTAIN_SHOWN = 24, 12
TOP = 5


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be taken at their word.

    Attributes:
        temperature: fitted on all validation images.
        before: with the model's own probabilities.
        after: with calibrated ones. Each half of the images is judged with the temperature of the other half, since a
            number that is fitted on images looks better there than it is.
    """

    temperature: float
    before: Reliability
    after: Reliability


@dataclass(frozen=True)
class SingleLabel:
    """What is found where every image has one label.

    Attributes:
        judged: answers beside labels.
        top_5_accuracy: share of images whose label is among the five likeliest; None with five classes or fewer.
        confusion: (K, K) int64, row = label.
        order: (K,) in which similar classes stand together.
        top_confusions: the commonest.
        wrong, uncertain: rows of the images to show.
        selection: what thresholds give; of the model's own probabilities.
        thresholds: pairs for the wanted precisions, for the model's own and for calibrated probabilities.
    """

    judged: Judged
    top_5_accuracy: float | None
    confusion: NDArray[np.int64]
    order: NDArray[np.int64]
    top_confusions: list[Confusion]
    wrong: NDArray[np.int64]
    uncertain: NDArray[np.int64]
    selection: Selection
    thresholds: list[tuple[Threshold, Threshold]]


@dataclass(frozen=True)
class Findings:
    """All numbers.

    Attributes:
        images: answered.
        unreadable: validation images without an answer; None where nobody knows.
        accuracy: share of right answers (multi-label: of right decisions, at 0.5).
        loss: mean negative log-likelihood of the labels (multi-label: mean over classes).
        classes: figures of each.
        calibration: of the probabilities.
        single: where every image has one label, else None.
        curves: of a multi-label model, of each class, else None.
        worst: (row, class) of the decisions of a multi-label model to show.
        label_errors: of the validation images, whose labels the network has not seen.
        training_label_errors: of the training images, whose labels it has; None where they were not answered.
        shared: validation images that are in the training set too; None where nobody has looked.
    """

    images: int
    unreadable: int | None
    accuracy: float
    loss: float
    classes: list[ClassFigures]
    calibration: Calibration
    single: SingleLabel | None
    curves: list[PrecisionRecall] | None
    worst: list[tuple[int, int]]
    label_errors: list[Suspicion]
    training_label_errors: list[Suspicion] | None
    shared: tuple[SharedImage, ...] | None

    @property
    def mean_average_precision(self) -> float | None:
        """Over the classes that have images; None when not multi-label."""
        areas = [curve.average_precision for curve in self.curves or () if curve.average_precision is not None]
        return sum(areas) / len(areas) if areas else None


def find(subject: Subject) -> Findings:
    """Work out everything."""
    multi_label = subject.description.multi_label
    answers, source = subject.answers, subject.validation
    probabilities = probabilities_of(answers.logits, multi_label=multi_label)
    calibration = _calibration(answers, multi_label, subject.description.temperature)
    training_images = None
    if subject.train is not None:
        training_images = count_images(subject.train.labels, subject.description.num_classes)
    single, curves, worst = None, None, []
    if multi_label:
        is_positive = answers.labels > 0.5
        decided = probabilities > 0.5
        curves = precision_recall(probabilities, answers.labels)
        worst = worst_decisions(probabilities, answers.labels, WRONG_SHOWN)
        matches = np.stack([(decided & is_positive).sum(axis=0), decided.sum(axis=0), is_positive.sum(axis=0)])
        accuracy = float((decided == is_positive).mean())
        likelihoods = np.where(is_positive, probabilities, 1 - probabilities)
    else:
        single = _single_label(subject, probabilities, calibration.temperature)
        matches = matches_of(single.confusion)
        accuracy = float(single.judged.is_right.mean())
        likelihoods = single.judged.label_probability
    return Findings(
        images=len(answers),
        unreadable=None if source is None else len(source) - len(answers),
        accuracy=accuracy,
        loss=float(-np.log(np.maximum(likelihoods, np.finfo(np.float64).tiny)).mean()),
        classes=class_figures(subject.class_names, matches, training_images, curves),
        calibration=calibration,
        single=single,
        curves=curves,
        worst=worst,
        label_errors=suspicions(answers, subject.class_names, multi_label=multi_label),
        training_label_errors=_training_label_errors(subject),
        shared=_shared(subject),
    )


def _single_label(subject: Subject, probabilities: NDArray[np.float64], temperature: float) -> SingleLabel:
    judged = Judged(probabilities, subject.answers.labels[:, 0].astype(np.int64))
    confusion = confusion_matrix(judged)
    plain = selection(judged.confidence, judged.is_right)
    cooled = probabilities_of(subject.answers.logits, multi_label=False, temperature=temperature)
    calibrated = selection(cooled.max(axis=1), judged.is_right)
    return SingleLabel(
        judged=judged,
        top_5_accuracy=_top_accuracy(judged, TOP) if judged.num_classes > TOP else None,
        confusion=confusion,
        order=similarity_order(confusion),
        top_confusions=top_confusions(confusion, CONFUSIONS),
        wrong=most_confidently_wrong(judged, WRONG_SHOWN),
        uncertain=least_certain(judged, UNCERTAIN_SHOWN),
        selection=plain,
        thresholds=[(threshold_for(plain, wanted), threshold_for(calibrated, wanted)) for wanted in WANTED],
    )


def _top_accuracy(judged: Judged, top: int) -> float:
    likeliest = np.argpartition(-judged.probabilities, top - 1, axis=1)[:, :top]
    return float((likeliest == judged.labels[:, np.newaxis]).any(axis=1).mean())


def _training_label_errors(subject: Subject) -> list[Suspicion] | None:
    answers, multi_label = subject.train_answers, subject.description.multi_label
    return None if answers is None else suspicions(answers, subject.class_names, multi_label=multi_label)


def _calibration(answers: Answers, multi_label: bool, temperature: float | None) -> Calibration:
    if temperature is None:
        temperature = fit_temperature(answers.logits, answers.labels, multi_label=multi_label)
    plain = probabilities_of(answers.logits, multi_label=multi_label)
    return Calibration(
        temperature,
        before=_reliability(plain, answers.labels, multi_label),
        after=_reliability(cross_fitted(answers, multi_label), answers.labels, multi_label),
    )


def cross_fitted(answers: Answers, multi_label: bool) -> NDArray[np.float64]:
    """Calibrated probabilities (N, K), those of each half with the temperature that was fitted on the other half.

    The halves are drawn at random, the same each time.
    """
    is_first = np.random.default_rng(0).permutation(len(answers)) < len(answers) / 2
    calibrated = np.empty(answers.logits.shape)
    for half in (is_first, ~is_first):
        other = ~half if (~half).any() else half  # of a single image
        temperature = fit_temperature(answers.logits[other], answers.labels[other], multi_label=multi_label)
        calibrated[half] = probabilities_of(answers.logits[half], multi_label=multi_label, temperature=temperature)
    return calibrated


def _reliability(probabilities: NDArray[np.float64], labels: NDArray[np.float32], multi_label: bool) -> Reliability:
    """Of the likeliest class; when multi-label, of every class's probability."""
    if multi_label:
        return reliability(probabilities.reshape(-1), (labels > 0.5).reshape(-1))
    return reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels[:, 0])


def _shared(subject: Subject) -> tuple[SharedImage, ...] | None:
    """Validation images that are in the training set too, by their bytes or their perceptual hashes."""
    if subject.train is None or subject.validation is None or (subject.record and subject.record.data.stream):
        return None
    surveys = [survey(each, threads=subject.computing.threads) for each in (subject.train, subject.validation)]
    return overlap(*surveys)
