"""An evaluation's report, as tables for a person and as tab-separated lines for a program."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imclass.cli.messages import tab_separated
from imclass.training.model_evaluation import Report

CONFUSIONS_SHOWN = 10


@dataclass(frozen=True)
class Confusion:
    """How often images of one class were taken for another.

    Attributes:
        label: name of the class that the images have.
        answer: name of the class that the model gave them.
        count: number of such images.
        share: these among all images of the class, 0 to 1.
    """

    label: str
    answer: str
    count: int
    share: float


def most_confused(report: Report, limit: int = CONFUSIONS_SHOWN) -> list[Confusion]:
    """The pairs of classes that are confused most often, by number of images; empty for a multi-label model."""
    if report.confusion is None:
        return []
    names = [entry.name for entry in report.classes]
    pairs = [
        Confusion(names[label], names[answer], count, count / sum(row))
        for label, row in enumerate(report.confusion)
        for answer, count in enumerate(row)
        if count and label != answer
    ]
    return sorted(pairs, key=lambda pair: -pair.count)[:limit]


def figures(report: Report) -> list[tuple[str, int | float]]:
    """The figures of the whole data set, without those that this kind of model has not."""
    everything = [
        ("images", report.samples),
        ("unreadable", report.unreadable),
        ("accuracy", report.accuracy),
        ("top_5_accuracy", report.top_5_accuracy),
        ("mean_average_precision", report.mean_average_precision),
        ("loss", report.loss),
    ]
    return [(name, value) for name, value in everything if value is not None]


def plain_lines(report: Report) -> Iterator[str]:
    """Lines of fields separated by tabs; the first field says what the others are.

    figure, NAME, VALUE; class, NAME, COUNT, PRECISION, RECALL, F1; confused, LABEL, ANSWER, COUNT;
    unreadable, KEY, REASON.
    """
    for name, value in figures(report):
        yield tab_separated("figure", name, _plain(value))
    for entry in report.classes:
        measured = (_plain(value) for value in (entry.precision, entry.recall, entry.f1))
        yield tab_separated("class", entry.name, entry.count, *measured)
    for pair in most_confused(report):
        yield tab_separated("confused", pair.label, pair.answer, pair.count)
    for image in report.bad_images:
        yield tab_separated("unreadable", image.key, image.reason)


def print_tables(report: Report, console: Console | None = None) -> None:
    """Print tables to the terminal."""
    console = console or Console()
    console.print(_figure_table(report))
    console.print(_class_table(report))
    confused = most_confused(report)
    if confused:
        console.print(_confusion_table(confused))


def _figure_table(report: Report) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in figures(report):
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:.4f}")
    return table


def _class_table(report: Report) -> Table:
    table = Table(title="Classes", title_justify="left")
    table.add_column("class")
    for heading in ("images", "precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    for entry in report.classes:
        measured = (f"{value:.4f}" for value in (entry.precision, entry.recall, entry.f1))
        # A name in brackets must not be read as rich's markup.
        table.add_row(Text(entry.name), f"{entry.count:,}", *measured)
    return table


def _confusion_table(confused: list[Confusion]) -> Table:
    table = Table(title="Most confused", title_justify="left")
    table.add_column("class")
    table.add_column("taken for")
    table.add_column("images", justify="right")
    table.add_column("of the class", justify="right")
    for pair in confused:
        table.add_row(Text(pair.label), Text(pair.answer), f"{pair.count:,}", f"{pair.share:.1%}")
    return table


def _plain(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6f}"
