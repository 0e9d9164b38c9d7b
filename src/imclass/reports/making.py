"""A report, from its subject to its files.

OUTPUT/report.html               the page
OUTPUT/report/NAME.png           its charts, and the confusion matrix
OUTPUT/report/label_errors.csv   all labels that are probably wrong
OUTPUT/report/duplicates.csv     all validation images that are in the training set too
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from imclass.data import Source
from imclass.drawing.png import matrix_png, png
from imclass.errors import UserError
from imclass.pending_file import PendingFile
from imclass.reports.content import content_of
from imclass.reports.figures import history_charts, precision_recall_chart, reliability_chart, selection_chart
from imclass.reports.findings import Findings, find
from imclass.reports.galleries import make_galleries
from imclass.reports.page import render
from imclass.reports.subject import Subject
from imclass.reports.suspicions import Suspicion
from imclass.training.answers import Answers

PAGE = "report.html"
FOLDER = "report"
SUSPECT_COLUMNS = ("set", "image", "label", "rather", "label_probability")
SHARED_COLUMNS = ("training", "validation", "same_bytes", "labels_differ")

Row = Sequence[object]


def make_report(subject: Subject, output: Path) -> Findings:
    """Find out what there is to say of a model, and write the page and its files.

    Args:
        output: folder for them, made when missing.

    Raises:
        UserError: they cannot be written.
    """
    folder = output / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder cannot be made: {error.strerror}", where=str(folder)) from error
    findings = find(subject)
    page = render("report.html", content_of(subject, findings, make_galleries(subject, findings)))
    for name, content in _files(subject, findings):
        _write(folder / name, content)
    _write(output / PAGE, page.encode("utf-8", "replace"))  # last: whoever sees it finds its files
    return findings


def _write(path: Path, content: bytes) -> None:
    with PendingFile(path) as file:
        file.write(content)


def _files(subject: Subject, findings: Findings) -> Iterator[tuple[str, bytes]]:
    charts = [
        *history_charts(subject),
        reliability_chart(findings, calibrated=False),
        reliability_chart(findings, calibrated=True),
        selection_chart(findings),
        precision_recall_chart(findings),
    ]
    for chart in charts:
        if chart is not None:
            yield f"{chart.name}.png", png(chart)
    if findings.single is not None:
        order = findings.single.order
        names = [subject.class_names[index] for index in order]
        matrix = findings.single.confusion[order][:, order]
        yield "confusion.png", matrix_png(matrix, names, "What is taken for what")
    yield "label_errors.csv", _table(SUSPECT_COLUMNS, _label_errors(subject, findings))
    if findings.shared is not None:
        shared = ((each.first, each.second, each.exact, each.labels_differ) for each in findings.shared)
        yield "duplicates.csv", _table(SHARED_COLUMNS, shared)


def _label_errors(subject: Subject, findings: Findings) -> Iterator[Row]:
    yield from _suspected("validation", findings.label_errors, subject.answers, subject.validation)
    if findings.training_label_errors is not None:
        assert subject.train_answers is not None
        yield from _suspected("training", findings.training_label_errors, subject.train_answers, subject.train)


def _suspected(name: str, found: Sequence[Suspicion], answers: Answers, source: Source | None) -> Iterator[Row]:
    for each in found:
        index = int(answers.indices[each.row])
        key = str(index) if source is None else source.key(index)
        yield name, key, each.label, each.rather, f"{each.probability:.6f}"


def _table(columns: Row, rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")
