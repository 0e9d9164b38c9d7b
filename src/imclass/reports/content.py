"""What stands on the page, ready to be put there: words for every number."""

from collections.abc import Mapping

import numpy as np

from imclass.drawing.charts import percent
from imclass.reports.figures import history_charts, precision_recall_chart, reliability_chart, selection_chart
from imclass.reports.findings import Findings, SingleLabel
from imclass.reports.galleries import Galleries
from imclass.reports.reproduction import command_of
from imclass.reports.subject import Subject
from imclass.version import VERSION

Facts = list[tuple[str, str]]


def content_of(subject: Subject, findings: Findings, galleries: Galleries) -> dict[str, object]:
    """Everything that `page/report.html` names."""
    single, history = findings.single, history_charts(subject)
    sections = [
        ("training", "Training", bool(history)),
        ("confusion", "Confusion", single is not None),
        ("classes", "Classes", True),
        ("mistakes", "Mistakes", bool(galleries.wrong or galleries.uncertain)),
        ("label-errors", "Label errors", True),
        ("duplicates", "Duplicates", findings.shared is not None),
        ("calibration", "Calibration", True),
        ("thresholds", "Thresholds", single is not None),
        ("run", "How it came to be", True),
    ]
    record = subject.record
    return {
        "title": subject.name,
        "subtitle": _subtitle(subject, findings),
        "sections": [(anchor, words) for anchor, words, is_there in sections if is_there],
        "cards": _cards(findings),
        "notes": subject.notes,
        "history": history,
        "single": single,
        "accuracy": findings.accuracy,
        "matrix": None if single is None else _matrix(subject, single),
        "names": subject.class_names,
        "classes": findings.classes,
        "has_training_images": bool(findings.classes) and findings.classes[0].training_images is not None,
        "precision_recall": precision_recall_chart(findings),
        "galleries": galleries,
        "label_errors": findings.label_errors,
        "training_label_errors": findings.training_label_errors,
        "training_probabilities": _cross_validated(subject.folds) if subject.folds else _IN_SAMPLE,
        "shared": findings.shared,
        "calibration": findings.calibration,
        "reliability": reliability_chart(findings, calibrated=False),
        "reliability_calibrated": reliability_chart(findings, calibrated=True),
        "selection": selection_chart(findings),
        "command": None if record is None else command_of(record),
        "data_facts": _data_facts(subject, findings),
        "model_facts": _model_facts(subject),
        "environment": _environment(subject),
        "hyperparameters": _hyperparameters(subject),
    }


_IN_SAMPLE = (
    "The network was trained on these images with these labels, so it may have learnt wrong ones by heart: what is "
    "listed is worth a look, and more may be wrong. imclass report RUN --folds 4 lets a network that has not seen "
    "an image judge it too."
)


def _cross_validated(folds: int) -> str:
    return (
        f"Cross-validated: {folds} networks were trained, and each image was judged by the one that was not trained on "
        "it, as the method asks, together with the run's own, which is better at what an image shows."
    )


def _subtitle(subject: Subject, findings: Findings) -> str:
    description = subject.description
    shape = "x".join(map(str, description.image_shape[1:]))
    network = f"{description.network} with {description.num_layers} layers, {description.num_classes} classes"
    return f"{network}, {shape} pixels; measured on {findings.images:,} images"


def _cards(findings: Findings) -> list[tuple[str, str, str]]:
    """(what, value, section that tells more)."""
    single = findings.single
    top_5 = None if single is None else single.top_5_accuracy
    suspected = len(findings.label_errors) + len(findings.training_label_errors or ())
    area = findings.mean_average_precision
    cards = [
        ("accuracy", percent(findings.accuracy), "classes"),
        ("top-5 accuracy", None if top_5 is None else percent(top_5), "classes"),
        ("mean average precision", None if area is None else percent(area), "classes"),
        ("loss", f"{findings.loss:.4f}", "calibration"),
        ("calibration error", percent(findings.calibration.before.expected_error), "calibration"),
        ("images measured", f"{findings.images:,}", "run"),
        ("labels to look at", f"{suspected:,}", "label-errors"),
        ("images in both sets", None if findings.shared is None else f"{len(findings.shared):,}", "duplicates"),
    ]
    return [(what, value, anchor) for what, value, anchor in cards if value is not None]


def _matrix(subject: Subject, single: SingleLabel) -> Mapping[str, object]:
    rows, columns = np.nonzero(single.confusion)
    cells = np.stack([rows, columns, single.confusion[rows, columns]], axis=1)
    return {
        "names": subject.class_names,
        "order": single.order.tolist(),
        "totals": single.confusion.sum(axis=1).tolist(),
        "cells": cells.tolist(),
    }


def _data_facts(subject: Subject, findings: Findings) -> Facts:
    record = subject.record
    facts = []
    if record is not None:
        for what, summary in (("training images", record.train), ("validation images", record.validation)):
            amount = "through a pipe" if summary.samples is None else f"{summary.samples:,}"
            facts.append((what, f"{amount} in {summary.name}"))
    elif subject.validation is not None:
        facts.append(("images", f"{len(subject.validation):,} in {subject.validation.name}"))
    if findings.unreadable is not None:
        facts.append(("of these unreadable", f"{findings.unreadable:,}"))
    counts = [entry.training_images for entry in findings.classes if entry.training_images is not None]
    if counts:
        facts.append(("training images of a class", f"{min(counts):,} to {max(counts):,}"))
    return facts


def _model_facts(subject: Subject) -> Facts:
    description = subject.description
    parameters = sum(parameter.numel() for parameter in subject.network.parameters())
    return [
        ("network", f"{description.network}, {description.num_layers} layers, {parameters:,} parameters"),
        ("image shape", ", ".join(map(str, description.image_shape))),
        ("preparation", f"resize {description.resize or 'none'}, {description.resize_mode}"),
        ("classes", f"{description.num_classes:,}{', several an image' if description.multi_label else ''}"),
        ("epoch", str(description.epoch)),
        ("written by", f"imclass {description.imclass_version}; report by {VERSION}"),
    ]


def _environment(subject: Subject) -> Facts:
    if subject.record is None:
        return []
    found = subject.record.environment
    return [
        ("system", found.system),
        ("device", found.device),
        ("processes", f"{found.processes} on {found.machines} machine{'s' if found.machines > 1 else ''}"),
        ("decoding threads", str(found.threads)),
        ("Python", found.python),
        *found.packages.items(),
    ]


def _hyperparameters(subject: Subject) -> Facts:
    if subject.record is not None:
        return sorted(subject.record.hyperparameters.items())
    return sorted((name, str(value)) for name, value in subject.description.hyperparameters.items())
