"""What an inspection found, as tables for a person and as tab-separated lines for a program."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imclass.cli.messages import printable, tab_separated
from imclass.images.inspection import ClassCount, Duplicates, Extent, SharedImage, SourceReport
from imclass.training.suggestions import Suggestion

SHOWN = 20  # lines of a table on a terminal; programs get all


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        sources: one data set, or two.
        shared: images that are in both.
        untrained: classes that have images in the second only.
        suggestion: hyperparameters for the first; None if none of its images can be read.
    """

    sources: tuple[SourceReport, ...]
    shared: tuple[SharedImage, ...]
    untrained: tuple[ClassCount, ...]
    suggestion: Suggestion | None

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each class of the first data set, where weights are suggested."""
        suggestion = self.suggestion
        return suggestion.class_weight_values if suggestion and suggestion.class_weights == "balanced" else ()


def figures(source: SourceReport) -> list[tuple[str, int]]:
    """The figures of a data set."""
    truncated = sum(image.truncated for image in source.unreadable)
    found = [
        ("images", source.images),
        ("unreadable", len(source.unreadable)),
        ("truncated", truncated),
        ("label_columns", source.label_columns),
        ("classes", len(source.classes)),
        ("classes_without_images", sum(not entry.images for entry in source.classes)),
        ("label_problems", len(source.label_problems)),
        ("different_sizes", source.different_sizes),
        ("exact_duplicates", surplus(source.exact_duplicates)),
        ("near_duplicates", surplus(source.near_duplicates)),
    ]
    for name, extent in (("width", source.widths), ("height", source.heights)):
        found += _extent(name, extent)
    return found


def _extent(name: str, extent: Extent | None) -> list[tuple[str, int]]:
    if extent is None:
        return []
    return [(f"{name}_least", extent.least), (f"{name}_median", extent.median), (f"{name}_most", extent.most)]


def surplus(groups: Sequence[Duplicates]) -> int:
    """How many images could go so that one of each group is left."""
    return sum(len(group.keys) - 1 for group in groups)


def suggested(suggestion: Suggestion) -> list[tuple[str, str]]:
    """The suggested hyperparameters, as they are typed."""
    named = [
        ("image_shape", ",".join(map(str, suggestion.image_shape))),
        ("num_layers", str(suggestion.num_layers)),
        ("class_weights", suggestion.class_weights),
    ]
    return named if suggestion.resize is None else [("resize", str(suggestion.resize)), *named]


def plain_lines(inspection: Inspection) -> Iterator[str]:
    """Lines of fields separated by tabs; the first field says what the others are, the second names the data set.

    figure, SOURCE, NAME, VALUE; class, SOURCE, NUMBER, NAME, IMAGES; size, SOURCE, WIDTH, HEIGHT, IMAGES;
    format, SOURCE, NAME, IMAGES; channels, SOURCE, NUMBER, IMAGES; unreadable or truncated, SOURCE, KEY, REASON;
    label, SOURCE, KEY, LABEL, REASON; exact or near, SOURCE, same or differ (the labels), KEY, KEY, ...;
    then shared, exact or near, same or differ, FIRST, SECOND; untrained, NUMBER, NAME, IMAGES; suggested, NAME, VALUE;
    weight, NUMBER, WEIGHT of each class where class_weights=balanced is suggested.
    """
    for source in inspection.sources:
        yield from _source_lines(source)
    for shared in inspection.shared:
        kind = "exact" if shared.exact else "near"
        yield tab_separated("shared", kind, _labels(shared.labels_differ), shared.first, shared.second)
    for entry in inspection.untrained:
        yield tab_separated("untrained", entry.index, entry.name or "", entry.images)
    if inspection.suggestion is not None:
        for name, value in suggested(inspection.suggestion):
            yield tab_separated("suggested", name, value)
    for number, weight in enumerate(inspection.weights):
        yield tab_separated("weight", number, f"{weight:g}")


def _source_lines(source: SourceReport) -> Iterator[str]:
    name = source.name
    yield from (tab_separated("figure", name, *figure) for figure in figures(source))
    for entry in source.classes:
        yield tab_separated("class", name, entry.index, entry.name or "", entry.images)
    for size in source.sizes:
        yield tab_separated("size", name, size.width, size.height, size.images)
    for format, count in source.formats.items():
        yield tab_separated("format", name, format, count)
    for channels, count in source.channels.items():
        yield tab_separated("channels", name, channels, count)
    for image in source.unreadable:
        yield tab_separated("truncated" if image.truncated else "unreadable", name, image.key, image.reason)
    for problem in source.label_problems:
        yield tab_separated("label", name, problem.key, _numbers(problem.label), problem.reason)
    for kind, groups in (("exact", source.exact_duplicates), ("near", source.near_duplicates)):
        for group in groups:
            yield tab_separated(kind, name, _labels(group.labels_differ), *group.keys)


def _labels(differ: bool) -> str:
    return "differ" if differ else "same"


def _numbers(label: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in label)


def print_tables(inspection: Inspection, console: Console | None = None) -> None:
    """Print tables to the terminal; of long lists the first lines."""
    console = console or Console()
    for source in inspection.sources:
        _print_source(source, console)
    shared = [
        ("same bytes" if each.exact else "alike", _labels(each.labels_differ), each.first, each.second)
        for each in inspection.shared
    ]
    _print_list(console, "Images in both", ("how", "labels", "first", "second"), shared)
    untrained = [(entry.index, entry.name or "", entry.images) for entry in inspection.untrained]
    _print_list(console, "Classes of the second without images in the first", ("class", "name", "images"), untrained)
    if inspection.suggestion is not None:
        _print_list(console, "Suggested", ("hyperparameter", "value"), suggested(inspection.suggestion))
    weights = [(number, f"{weight:.3f}") for number, weight in enumerate(inspection.weights)]
    _print_list(console, "Weights of classes under class_weights=balanced", ("class", "weight"), weights)


def _print_source(source: SourceReport, console: Console) -> None:
    console.print(Text(printable(source.name), style="bold"))
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in figures(source):
        table.add_row(name.replace("_", " "), f"{value:,}")
    for format, count in source.formats.items():
        table.add_row(format.upper(), f"{count:,}")
    for channels, count in source.channels.items():
        table.add_row(f"{channels} channel{'s' if channels > 1 else ''}", f"{count:,}")
    console.print(table)
    classes = [(entry.index, entry.name or "", f"{entry.images:,}") for entry in source.classes]
    _print_list(console, "Classes", ("class", "name", "images"), classes)
    sizes = [(f"{size.width} x {size.height}", f"{size.images:,}") for size in source.sizes]
    _print_list(console, "Commonest sizes", ("size", "images"), sizes)
    bad = [(image.key, "truncated" if image.truncated else "", image.reason) for image in source.unreadable]
    _print_list(console, "Unreadable images", ("image", "", "reason"), bad)
    labels = [(problem.key, _numbers(problem.label), problem.reason) for problem in source.label_problems]
    _print_list(console, "Labels that cannot be", ("image", "label", "it"), labels)
    for title, groups in (("Same bytes", source.exact_duplicates), ("Alike", source.near_duplicates)):
        rows = [(_labels(group.labels_differ), "\n".join(group.keys)) for group in groups]
        _print_list(console, title, ("labels", "images"), rows)


def _print_list(console: Console, title: str, columns: Iterable[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table, unless it is empty. Names in brackets must not be read as rich's markup, hence `Text`."""
    if not rows:
        return
    table = Table(*columns, title=title, title_justify="left")
    for row in rows[:SHOWN]:
        table.add_row(*(Text(printable(field)) for field in row))
    console.print(table)
    if len(rows) > SHOWN:
        console.print(f"... and {len(rows) - SHOWN} more; --json names all of them")
