"""Answers to the training images by networks that have not seen them.

The training set is cut into folds. For each of them a network is trained, with the settings of the run, on all others,
and answers the images of the fold. So every label is judged by a network that was not trained on it, as confident
learning asks; it takes (folds - 1) times as long as the run.
"""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imclass.data import Source, Subset, local_path
from imclass.errors import DataError, UserError
from imclass.hyperparameters import Hyperparameters, parse
from imclass.reports.subject import Computing, Subject
from imclass.training.answers import FILE, Answers, joined, read_answers
from imclass.training.console import Console
from imclass.training.job import Job
from imclass.training.process_group import Processes
from imclass.training.run import run
from imclass.training.settling import find_weights
from imclass.training.trackers.tracking import Tracking

log = logging.getLogger(__name__)

LEAST_FOLDS = 2


def cross_validated(subject: Subject, folds: int, tell: Callable[[str], None] = log.info) -> Subject:
    """A run whose training images are judged by its own network and by others that have not seen them, together.

    Args:
        subject: of a run.
        folds: `LEAST_FOLDS` or more.
        tell: told when a fold begins.

    Raises:
        UserError: the run cannot be done again on parts of its images.
    """
    record, train = subject.record, subject.train
    if record is None or train is None or subject.train_answers is None:
        reason = " ".join(subject.notes) or "its training images are not known"
        raise UserError(f"cross-validation is not possible: {reason}", where=subject.name)
    if record.data.model is not None or "model" in record.data.channels:
        raise UserError(
            "cross-validation is not possible: the run went on from another model, which may have seen all labels",
            where=subject.name,
            fix="Leave --folds out.",
        )
    settings = parse(dict(record.hyperparameters), fine_tuning=True)
    pretrained = find_weights(settings, local_path(record.data.pretrained) if record.data.pretrained else None)
    answers = cross_validated_answers(train, settings, pretrained, folds, subject.computing, tell)
    return replace(subject, train_answers=averaged(subject.train_answers, answers), folds=folds)


def averaged(own: Answers, others: Answers) -> Answers:
    """Two networks' answers to the same images as one: the means of their logits.

    The run's own network has learnt all images, and some wrong labels by heart; those of the folds have learnt no label
    that they judge, but fewer images. They err in different images, and where both doubt a label it is wrong more often
    than where one of them does (bench/label_errors.py).
    """
    assert np.array_equal(own.indices, others.indices), "both have answered to all images that can be read"
    return replace(own, logits=((own.logits + others.logits) / 2).astype(np.float32))


def cross_validated_answers(
    train: Source,
    settings: Hyperparameters,
    pretrained: Path | None,
    folds: int,
    computing: Computing,
    tell: Callable[[str], None] = log.info,
) -> Answers:
    """Answers to all readable images of a training set.

    Args:
        train: the images.
        settings: of the run, complete.
        pretrained: weights that it started from, or None for random ones.
        folds: `LEAST_FOLDS` or more.
        computing: where to train.
        tell: told when a fold begins.

    Raises:
        DataError: there are fewer images than folds, or too few to train on.
    """
    if len(train) < folds:
        raise DataError(f"{len(train)} images cannot be cut into {folds} folds", where=train.name)
    assert folds >= LEAST_FOLDS
    fold_of = assign_folds(train.labels, folds, settings.seed)
    parts = []
    for fold in range(folds):
        inside = np.flatnonzero(fold_of == fold)
        tell(f"cross-validation: fold {fold + 1} of {folds}, {len(inside):,} images to be judged")
        answers = _answers_to_fold(train, fold_of == fold, settings, pretrained, computing)
        parts.append(replace(answers, indices=inside[answers.indices]))
    return joined(parts)


def assign_folds(labels: NDArray[np.float32], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each image, (N,) int64: at random, and of every label about as many images in each fold.

    Args:
        labels: (N, L).
    """
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    _, kinds = np.unique(labels, axis=0, return_inverse=True)
    by_kind = shuffled[np.argsort(kinds.reshape(-1)[shuffled], kind="stable")]
    fold_of = np.empty(len(labels), np.int64)
    fold_of[by_kind] = np.arange(len(labels)) % folds
    return fold_of


def _answers_to_fold(
    train: Source,
    is_inside: NDArray[np.bool_],
    settings: Hyperparameters,
    pretrained: Path | None,
    computing: Computing,
) -> Answers:
    """Train on what is outside, and give the answers of the best epoch to what is inside."""
    others = Subset(train, np.flatnonzero(~is_inside))
    batch_size = min(settings.mini_batch_size, len(others))
    changed = {"num_training_samples": len(others), "mini_batch_size": batch_size, "artifact_format": "imclass"}
    with tempfile.TemporaryDirectory(prefix="imclass-fold-") as folder:
        job = Job(
            train=others,
            validation=Subset(train, np.flatnonzero(is_inside)),
            settings=settings.model_copy(update=changed),
            network=settings.network,
            class_names=train.class_names,
            output=Path(folder),
            pretrained=pretrained,
            threads=computing.threads,
        )
        outcome = run(job, Processes(0, 1, 0, 1, computing.device), Console(), Tracking({}, job.output))
        if outcome.interrupted:
            raise DataError("cross-validation was stopped by SIGTERM", where=train.name)
        answers = read_answers(Path(folder) / FILE, int(outcome.best["epoch"]) + 1)
    assert answers is not None, "the run has written them"
    return answers
