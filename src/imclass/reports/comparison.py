"""Runs side by side: what was different, what came of it, and which images are answered otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imclass.calibration import probabilities_of, reliability
from imclass.drawing.charts import percent
from imclass.errors import UserError
from imclass.pending_file import PendingFile
from imclass.reports.figures import overlaid_charts
from imclass.reports.galleries import Exhibit
from imclass.reports.numbers.agreement import Agreement, agreement
from imclass.reports.page import render
from imclass.reports.pictures import Album
from imclass.reports.subject import Computing, Subject, open_run

CHANGED_SHOWN = 24
LEAST_RUNS = 2


@dataclass(frozen=True)
class RunFigures:
    """What came of a run.

    Attributes:
        name: its folder.
        accuracy: of its weights on its validation images, 0 to 1.
        loss: there, of the last line of their epoch in metrics.jsonl; None if it was not finite.
        calibration_error: expected, 0 to 1; None when multi-label.
        epoch, epochs: whose weights were kept, and how many there were.
        images_per_second: of training, the median epoch.
        seconds: all epochs together.
        parameters: numbers in the network.
    """

    name: str
    accuracy: float
    loss: float | None
    calibration_error: float | None
    epoch: int
    epochs: int
    images_per_second: float
    seconds: float
    parameters: int


@dataclass(frozen=True)
class Pair:
    """A run beside the first one.

    Attributes:
        name: of the run.
        agreement: None where answers cannot be compared.
        why_not: in words; empty where they can.
    """

    name: str
    agreement: Agreement | None
    why_not: str


@dataclass(frozen=True)
class Comparison:
    """Runs side by side, in the order in which they were named.

    Attributes:
        runs: what came of each.
        differences: name of a hyperparameter and its value in each run, where they are not all the same.
        pairs: each run but the first, beside the first.
        subjects: the runs themselves.
    """

    runs: list[RunFigures]
    differences: list[tuple[str, list[str]]]
    pairs: list[Pair]
    subjects: list[Subject]


def compare(outputs: Sequence[Path], computing: Computing, *, quiet: bool = False) -> Comparison:
    """Put runs beside each other.

    Args:
        outputs: their folders, at least two.

    Raises:
        UserError: one of them holds no run, or is named twice.
    """
    if len(outputs) < LEAST_RUNS:
        raise UserError(f"{len(outputs)} run is nothing to compare", fix="Name two runs or more.")
    places = [output.resolve() for output in outputs]
    twice = sorted({str(output) for output, place in zip(outputs, places, strict=True) if places.count(place) > 1})
    if twice:
        raise UserError("a run is named twice", where=", ".join(twice), fix="Name each run once.")
    opened = [open_run(output, computing, quiet=quiet, answers_training=False) for output in outputs]
    subjects = [replace(one, name=str(output)) for one, output in zip(opened, outputs, strict=True)]
    first = subjects[0]
    pairs = [_beside(first, each) for each in subjects[1:]]
    return Comparison([_figures(each) for each in subjects], _differences(subjects), pairs, subjects)


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page of a comparison.

    Raises:
        UserError: the file cannot be written.
    """
    content = {
        "title": "Runs side by side",
        "runs": comparison.runs,
        "differences": comparison.differences,
        "charts": overlaid_charts([(each.name, each.history) for each in comparison.subjects]),
        "pairs": [
            (pair, _changed(comparison.subjects[0], each, pair))
            for pair, each in zip(comparison.pairs, comparison.subjects[1:], strict=True)
        ],
        "first": comparison.runs[0].name,
    }
    page = render("compare.html", content)
    with PendingFile(path) as file:
        file.write(page.encode("utf-8", "replace"))


def _figures(subject: Subject) -> RunFigures:
    history, multi_label = subject.history, subject.description.multi_label
    is_right = _is_right(subject)
    speeds = [value for each in history if (value := each.get("images_per_second")) is not None]
    kept = history[subject.description.epoch - 1] if 0 < subject.description.epoch <= len(history) else {}
    error = None
    if not multi_label:
        confidence = probabilities_of(subject.answers.logits, multi_label=False).max(axis=1)
        error = reliability(confidence, is_right).expected_error
    return RunFigures(
        name=subject.name,
        accuracy=float(is_right.mean()),
        loss=kept.get("validation_loss"),
        calibration_error=error,
        epoch=subject.description.epoch,
        epochs=len(history),
        images_per_second=float(np.median(speeds)) if speeds else 0.0,
        seconds=sum(each.get("seconds") or 0.0 for each in history),
        parameters=sum(parameter.numel() for parameter in subject.network.parameters()),
    )


def _is_right(subject: Subject) -> NDArray[np.bool_]:
    """(N,) right answers, or (N, K) right decisions when multi-label."""
    logits, labels = subject.answers.logits, subject.answers.labels
    if subject.description.multi_label:
        return np.asarray((logits > 0) == (labels > 0.5))
    return np.asarray(logits.argmax(axis=1) == labels[:, 0])


def _beside(first: Subject, other: Subject) -> Pair:
    why_not = _why_not_comparable(first, other)
    return Pair(other.name, None if why_not else agreement(_is_right(first), _is_right(other)), why_not)


def _why_not_comparable(first: Subject, other: Subject) -> str:
    """Why the answers of two runs cannot be compared; empty where they can."""
    one, two = first.answers, other.answers
    if first.description.multi_label or other.description.multi_label:
        return "their images have several labels"
    if first.class_names != other.class_names:
        return "their classes are not the same"
    if not (np.array_equal(one.indices, two.indices) and np.array_equal(one.labels, two.labels)):
        return "they were not validated on the same images"
    return ""


def _differences(subjects: Sequence[Subject]) -> list[tuple[str, list[str]]]:
    settings = [{} if each.record is None else each.record.hyperparameters for each in subjects]
    names = sorted({name for each in settings for name in each})
    rows = [(name, [each.get(name, "not set") for each in settings]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _changed(first: Subject, other: Subject, pair: Pair) -> tuple[list[Exhibit], list[Exhibit]]:
    """The images that were lost, and those that were won."""
    if pair.agreement is None or first.validation is None:
        return [], []
    album = Album(first.validation)
    lost, won = pair.agreement.lost, pair.agreement.won
    shown = [[_exhibit(row, first, other, album) for row in rows[:CHANGED_SHOWN].tolist()] for rows in (lost, won)]
    return shown[0], shown[1]


def _exhibit(row: int, first: Subject, other: Subject, album: Album) -> Exhibit:
    names, index = first.class_names, int(first.answers.indices[row])
    facts = [("label", names[int(first.answers.labels[row, 0])])]
    for words, subject in (("before", first), ("now", other)):
        chances = probabilities_of(subject.answers.logits[row : row + 1], multi_label=False)[0]
        facts.append((words, f"{names[int(chances.argmax())]}, {percent(float(chances.max()))}"))
    return Exhibit(album.key(index), [(album.image(index), "")], facts)
