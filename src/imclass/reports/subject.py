"""What a report is about: a model, its answers, the images, and how the model came to be."""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from imclass import artifact
from imclass.data import PipeChannel, Source
from imclass.device import choose_device
from imclass.errors import ArtifactError, DataError, UserError
from imclass.hyperparameters import Hyperparameters, parse
from imclass.images import BadImages, Loader
from imclass.models import ResNet
from imclass.training.answers import FILE as ANSWERS_FILE
from imclass.training.answers import Answers, read_answers
from imclass.training.evaluation import evaluate
from imclass.training.model_evaluation import preprocessing_of
from imclass.training.opening import Data, open_data
from imclass.training.process_group import Processes
from imclass.training.record import RunRecord, read_record

log = logging.getLogger(__name__)

MODEL = "model.tar.gz"
METRICS = "metrics.jsonl"
MOST_TRAINING_ANSWERS = 1 << 26
"""Most numbers, images times classes, that answers to training images may be; what is worked out from them takes some
2 GiB. Label errors are not looked for in larger sets."""

Metrics = dict[str, float | None]


@dataclass(frozen=True)
class Computing:
    """What computes, and how many threads decode."""

    device: torch.device
    threads: int

    @classmethod
    def on(cls, device: str, threads: int) -> "Computing":
        """On the device of this name, as `choose_device` takes it."""
        return cls(choose_device(device), threads)


@dataclass(frozen=True)
class Subject:
    """What a report is about.

    Attributes:
        name: of the model, for people.
        description, network: the model.
        computing: what computes activation maps.
        answers: to the validation images.
        validation: those images; None where they cannot be had any more.
        train: the training images, likewise.
        train_answers: answers to them; None where they were not worked out.
        folds: of the cross-validation that gave those answers; 0 where they are the model's own.
        history: the epochs, as in metrics.jsonl; empty for a model without its run.
        record: of the run, if there is one.
        notes: what the report leaves out, and why.
    """

    name: str
    description: artifact.Description
    network: ResNet
    computing: Computing
    answers: Answers
    validation: Source | None
    train: Source | None = None
    train_answers: Answers | None = None
    folds: int = 0
    history: list[Metrics] = field(default_factory=list)
    record: RunRecord | None = None
    notes: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of all classes; their numbers where there are no names."""
        return self.description.class_names or tuple(map(str, range(self.description.num_classes)))


def open_run(output: Path, computing: Computing, *, quiet: bool = False, answers_training: bool = True) -> Subject:
    """A run, from its output folder.

    Args:
        quiet: do not show what is fetched.
        answers_training: let the model answer the training images too.

    Raises:
        UserError: the folder holds no run with a model, or the images are needed and cannot be had.
    """
    record = read_record(output)
    settings = parse(dict(record.hyperparameters), fine_tuning=True)
    model = output / MODEL
    description, network = artifact.load(model, image_shape=settings.image_shape)
    if description.class_names is None:
        description = description.model_copy(update={"class_names": record.class_names})
    data, notes = _images(record, settings, quiet)
    validation = None if data is None or isinstance(data.validation, PipeChannel) else data.validation
    train = None if data is None or isinstance(data.train, PipeChannel) else data.train
    answers = read_answers(output / ANSWERS_FILE, description.epoch)
    if answers is None:
        if validation is None:
            raise DataError(f"there are neither answers nor images to report on: {' '.join(notes)}", where=str(output))
        answers = answers_to(validation, description, network, computing)
    if not np.isfinite(answers.logits).all():
        raise DataError("the model answers with numbers that are not finite", where=str(model))
    if validation is not None and not _fits(answers, validation):
        validation = None
        notes.append("The validation images are not those of the run any more, so no pictures are shown.")
    train_answers = None
    if not answers_training:
        train = None
    if train is not None and (why_not := _why_not_answered(train, record, description)):
        notes.append(why_not)
    elif train is not None:
        train_answers = answers_to(train, description, network, computing)
    return Subject(
        name=str(model),
        description=description,
        network=network.to(computing.device),
        computing=computing,
        answers=answers,
        validation=validation,
        train=train,
        train_answers=train_answers,
        history=_history(output / METRICS),
        record=record,
        notes=tuple(notes),
    )


def answers_to(source: Source, description: artifact.Description, network: ResNet, computing: Computing) -> Answers:
    """What a model answers to all readable images of a source, prepared as in validation.

    Raises:
        DataError: not one can be read.
    """
    alone = Processes(0, 1, 0, 1, computing.device)
    model = network.to(computing.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with Loader(
        source,
        preprocessing_of(description),
        threads=computing.threads,
        device=computing.device,
        bad_images=BadImages(1.0),
    ) as loader:
        evaluation = evaluate(
            model,
            loader,
            alone,
            num_classes=description.num_classes,
            multi_label=description.multi_label,
            keep_answers=True,
        )
    assert evaluation is not None, "nobody asked to stop"
    assert evaluation.answers is not None, "they were asked for"
    if not len(evaluation.answers):
        raise DataError("not one image could be read", where=source.name)
    return evaluation.answers


def _images(record: RunRecord, settings: Hyperparameters, quiet: bool) -> tuple[Data | None, list[str]]:
    """The images of a run, opened again, and a note where they cannot be had."""
    try:
        request = record.data.request()
        if request.pipes:
            return None, ["The images came through pipes and are gone, so no pictures are shown."]
        opened = open_data(
            request.at_hand(quiet), class_names=record.class_names, num_classes=settings.num_classes, seed=settings.seed
        )
    except (UserError, OSError) as error:
        log.warning("The images of the run cannot be had any more: %s", error)
        return None, ["The images of the run cannot be had any more, so no pictures are shown."]
    return opened, []


def _fits(answers: Answers, source: Source) -> bool:
    """Whether a source still has the samples that were answered."""
    if not len(answers) or answers.indices[-1] >= len(source):
        return False
    return np.array_equal(source.labels[answers.indices], answers.labels)


def _why_not_answered(train: Source, record: RunRecord, description: artifact.Description) -> str | None:
    if record.data.stream:
        return "The training images were streamed, so no label errors and duplicates were looked for in them."
    if len(train) * description.num_classes > MOST_TRAINING_ANSWERS:
        return "The training set is too large to look for label errors in it here."
    return None


def _history(path: Path) -> list[Metrics]:
    """The epochs of metrics.jsonl.

    Raises:
        ArtifactError: a line is not JSON.
    """
    if not path.exists():
        return []
    history = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            history.append(json.loads(line))
        except ValueError as error:
            raise ArtifactError(f"line {number} is not JSON: {error}", where=str(path)) from error
    return history
