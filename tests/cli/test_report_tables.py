"""The report of an evaluation in both of its forms."""

import io

import pytest
from rich.console import Console

from imclass.cli.report_tables import Confusion, figures, most_confused, plain_lines, print_tables
from imclass.training.model_evaluation import BadImage, ClassReport, Report

NAMES = ("cat", "[red]dog", "owl")


@pytest.fixture
def report() -> Report:
    confusion = [[8, 2, 0], [3, 6, 1], [0, 0, 5]]
    classes = [
        ClassReport(index=index, name=name, count=sum(confusion[index]), precision=0.5, recall=0.25, f1=1 / 3)
        for index, name in enumerate(NAMES)
    ]
    return Report(
        model="m.tar.gz",
        source="photos",
        samples=25,
        unreadable=1,
        loss=0.5,
        accuracy=19 / 25,
        top_5_accuracy=None,
        mean_average_precision=None,
        classes=classes,
        confusion=confusion,
        bad_images=[BadImage(key="a\tb.png", reason="the file is empty")],
    )


def test_most_confused(report: Report) -> None:
    assert most_confused(report) == [
        Confusion("[red]dog", "cat", 3, 0.3),
        Confusion("cat", "[red]dog", 2, 0.2),
        Confusion("[red]dog", "owl", 1, 0.1),
    ]
    assert len(most_confused(report, limit=1)) == 1
    assert most_confused(report.model_copy(update={"confusion": None})) == []


def test_figures_leave_out_what_the_model_has_not(report: Report) -> None:
    assert [name for name, _ in figures(report)] == ["images", "unreadable", "accuracy", "loss"]
    more = report.model_copy(update={"top_5_accuracy": 0.9, "mean_average_precision": 0.8})
    assert ("top_5_accuracy", 0.9) in figures(more)
    assert ("mean_average_precision", 0.8) in figures(more)


def test_plain_lines(report: Report) -> None:
    assert list(plain_lines(report)) == [
        "figure\timages\t25",
        "figure\tunreadable\t1",
        "figure\taccuracy\t0.760000",
        "figure\tloss\t0.500000",
        "class\tcat\t10\t0.500000\t0.250000\t0.333333",
        "class\t[red]dog\t10\t0.500000\t0.250000\t0.333333",
        "class\towl\t5\t0.500000\t0.250000\t0.333333",
        "confused\t[red]dog\tcat\t3",
        "confused\tcat\t[red]dog\t2",
        "confused\t[red]dog\towl\t1",
        "unreadable\ta\\tb.png\tthe file is empty",
    ]


def test_tables(report: Report) -> None:
    stream = io.StringIO()
    print_tables(report, Console(file=stream, width=100))
    text = stream.getvalue()
    for said in ("accuracy", "0.7600", "Classes", "[red]dog", "Most confused", "taken for", "30.0%"):
        assert said in text


def test_tables_of_a_perfect_model_show_no_confusions(report: Report) -> None:
    stream = io.StringIO()
    perfect = report.model_copy(update={"confusion": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]})
    print_tables(perfect, Console(file=stream, width=100))
    assert "Most confused" not in stream.getvalue()
