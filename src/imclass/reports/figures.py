"""The charts of a report."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imclass.calibration import Reliability
from imclass.drawing.charts import Chart, Numbers, Series, percent
from imclass.reports.findings import Findings
from imclass.reports.numbers.precision_recall import PrecisionRecall
from imclass.reports.subject import Metrics, Subject

FROM_ZERO = ("learning_rate", "images_per_second")
CURVES_SHOWN = 8
"""Precision-recall curves of single classes in one chart."""


def history_charts(subject: Subject) -> list[Chart]:
    """Loss, accuracy, learning rate and speed by epoch; none for a model without its run."""
    history, best = subject.history, subject.description.epoch
    if not history:
        return []
    mark = (float(best), f"the weights are those of epoch {best}") if best else None
    wanted = [
        ("loss", "Loss", "loss", {"training": "train_loss", "validation": "validation_loss"}),
        ("accuracy", "Accuracy", "accuracy", {"training": "train_accuracy", "validation": "validation_accuracy"}),
        (
            "mean_average_precision",
            "Mean average precision",
            "mean average precision",
            {"validation": "validation_mean_average_precision"},
        ),
        ("learning_rate", "Learning rate", "learning rate", {"learning rate": "learning_rate"}),
        ("images_per_second", "Speed of training", "images/s", {"images/s": "images_per_second"}),
    ]
    return [
        Chart(
            name=name,
            title=title,
            x_label="epoch",
            y_label=y_label,
            series=[_by_epoch(history, words, key) for words, key in keys.items()],
            y_format=percent if name == "accuracy" else _number,
            mark=mark,
            counts=True,
            y_range=_from_zero(history, *keys.values()) if name in FROM_ZERO else None,
        )
        for name, title, y_label, keys in wanted
        if any(key in history[0] for key in keys.values())
    ]


def overlaid_charts(runs: Sequence[tuple[str, list[Metrics]]]) -> list[Chart]:
    """Accuracy, loss and learning rate of several runs, (name, epochs) each, in the same charts."""
    wanted = [
        ("accuracy", "Validation accuracy", "validation_accuracy"),
        ("loss", "Validation loss", "validation_loss"),
        ("train_loss", "Training loss", "train_loss"),
        ("learning_rate", "Learning rate", "learning_rate"),
    ]
    return [
        Chart(
            name=name,
            title=title,
            x_label="epoch",
            y_label=title.lower(),
            series=[_by_epoch(history, run, key) for run, history in runs],
            y_format=percent if name == "accuracy" else _number,
            counts=True,
        )
        for name, title, key in wanted
    ]


def reliability_chart(findings: Findings, *, calibrated: bool) -> Chart:
    """How often answers are right, by the probability that they were given with."""
    calibration = findings.calibration
    shown = calibration.after if calibrated else calibration.before
    centres = (shown.edges[:-1] + shown.edges[1:]) / 2
    how = "Calibrated probabilities" if calibrated else "Probabilities as they are"
    return Chart(
        name="reliability_calibrated" if calibrated else "reliability",
        title=f"{how}: expected calibration error {percent(shown.expected_error)}",
        x_label="probability",
        y_label="right answers" if findings.single else "images of the class",
        series=[
            Series("right answers", centres, shown.accuracy, "bars", float(shown.edges[1])),
            Series("", (0.0, 1.0), (0.0, 1.0), "dashes"),
        ],
        y_format=percent,
        x_words=lambda centre: _bin(centre, shown),
        x_range=(0, 1),
        y_range=(0, 1),
    )


def selection_chart(findings: Findings) -> Chart | None:
    """How many answers are right when the least certain are not given; None when multi-label."""
    if findings.single is None:
        return None
    selected = findings.single.selection
    return Chart(
        name="thresholds",
        title="Right answers when unsure ones are not given",
        x_label="images answered",
        y_label="of these right",
        series=[Series("of these right", selected.coverage, selected.precision)],
        x_format=percent,
        y_format=percent,
        x_range=(0, 1),
    )


def precision_recall_chart(findings: Findings) -> Chart | None:
    """Precision and recall of the classes with the lowest average precision; None when not multi-label."""
    if findings.curves is None:
        return None
    measured = [
        (entry.average_precision, entry.name, curve)
        for entry, curve in zip(findings.classes, findings.curves, strict=True)
        if entry.average_precision is not None
    ]
    if not measured:
        return None
    shown = sorted(measured, key=lambda each: each[:2])[:CURVES_SHOWN]
    which = f"the {CURVES_SHOWN} classes with the lowest average precision" if len(measured) > len(shown) else "classes"
    return Chart(
        name="precision_recall",
        title=f"Precision and recall of {which}",
        x_label="recall",
        y_label="precision",
        series=[Series(name, *_stepped(curve)) for _, name, curve in shown],
        x_format=percent,
        y_format=percent,
        x_range=(0, 1),
        y_range=(0, 1),
    )


def _from_zero(history: list[Metrics], *keys: str) -> tuple[float, float]:
    return 0.0, 1.05 * max(value for each in history for key in keys if (value := each.get(key)) is not None)


def _by_epoch(history: list[Metrics], name: str, key: str) -> Series:
    values = [each.get(key) for each in history]
    epochs = [float(number) for number in range(1, len(history) + 1)]
    return Series(name, epochs, [np.nan if value is None else value for value in values])


def _stepped(curve: PrecisionRecall) -> tuple[Numbers, Numbers]:
    """With the point at recall 0, at which precision is that of the first answer."""
    recall: NDArray[np.float64] = np.concatenate([[0.0], curve.recall])
    precision: NDArray[np.float64] = np.concatenate([curve.precision[:1], curve.precision])
    return recall, precision


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _bin(centre: float, shown: Reliability) -> str:
    number = int(centre * len(shown.counts))
    return f"{shown.edges[number]:.2f} to {shown.edges[number + 1]:.2f}, {shown.counts[number]:,} answers"
