"""What an inspection found, as one HTML page with thumbnails that needs no other file.

It begins with what has to be decided or mended; classes, of which there may be hundreds, come last. The number of
thumbnails is limited, whatever the size of the data set, and so is the size of the page: some 20 MB at most.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np

from imclass.cli.inspection_style import SCRIPT, STYLE
from imclass.cli.inspection_text import Inspection, figures, suggested
from imclass.cli.messages import printable
from imclass.data import Source
from imclass.errors import ImageError
from imclass.images.header import read_header
from imclass.images.inspection import ClassCount, Duplicates, SourceReport
from imclass.images.reencode import Encoding, reencode

FIGURE_SIDE = 112  # pixels, of the shorter side at most
STRIP_SIDE = 72
THUMBNAIL_QUALITY = 80
CLASS_THUMBNAILS = 2000  # of the whole page
IMAGES_OF_A_CLASS = 10
CLASSES_SHOWN = 5000
GROUPS_SHOWN = 100
IMAGES_OF_A_GROUP = 6
LINES_SHOWN = 200
FILTERED_FROM = 15  # classes

_CONTENT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_PROBLEMS = ("unreadable", "label_problems", "exact_duplicates", "near_duplicates", "classes_without_images")


def page(inspection: Inspection, sources: Sequence[Source]) -> str:
    """Make the page.

    Args:
        inspection: what was found.
        sources: the data sets, for their thumbnails.
    """
    albums = [_Album(source) for source in sources]
    title = escape(" and ".join(printable(report.name) for report in inspection.sources))
    body: list[str] = []
    if inspection.suggestion is not None:
        body += _suggested(inspection)
    if len(inspection.sources) > 1:
        body += _both(inspection, albums)
    for number, (report, album) in enumerate(zip(inspection.sources, albums, strict=True)):
        body += _source(report, album, f"s{number}")
    for number, (report, album) in enumerate(zip(inspection.sources, albums, strict=True)):
        body.append(f'<h2 id="s{number}-classes">Classes of {escape(printable(report.name))}</h2>')
        weights = inspection.weights if number == 0 else ()
        body += _classes(report, album, weights, f"s{number}-table", CLASS_THUMBNAILS // len(albums))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<link rel="icon" href="data:,"><title>{title}</title><style>{STYLE}</style></head><body>',
            f"<h1>{title}</h1>",
            _navigation(inspection),
            *body,
            f"<script>{SCRIPT}</script></body></html>",
        ]
    )


def _navigation(inspection: Inspection) -> str:
    links = [("both", "In both")] if len(inspection.sources) > 1 else []
    for number, report in enumerate(inspection.sources):
        name = printable(report.name)
        links += [(f"s{number}", name), (f"s{number}-classes", f"classes of {name}")]
    return "<nav>" + "".join(f'<a href="#{anchor}">{escape(text)}</a>' for anchor, text in links) + "</nav>"


class _Album:
    """Thumbnails of a source, by the keys of its samples."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.samples = {source.key(index): index for index in range(len(source))}

    def picture(self, key: str, most_side: int = STRIP_SIDE) -> str:
        """An image with its key as its tooltip, or a mark where it cannot be read. Small images are not enlarged."""
        name = escape(printable(key))
        try:
            data = self.source[self.samples[key]].image
            header = read_header(data)
            side = min(most_side, header.width, header.height)
            thumbnail = reencode(data, Encoding(resize=side, quality=THUMBNAIL_QUALITY))
        except ImageError:
            return f'<span class="none" title="{name}">unreadable</span>'
        kind = ' class="tiny"' if max(header.width, header.height) < most_side else ""
        encoded = base64.b64encode(thumbnail).decode()
        return f'<img{kind} loading="lazy" alt="{name}" title="{name}" src="data:image/jpeg;base64,{encoded}">'

    def figure(self, key: str) -> str:
        """An image with its key below it."""
        return f"<figure>{self.picture(key, FIGURE_SIDE)}<figcaption>{escape(printable(key))}</figcaption></figure>"


def _suggested(inspection: Inspection) -> Iterator[str]:
    assert inspection.suggestion is not None
    yield "<h2>Suggested hyperparameters</h2>"
    how = "fine-tuning from public weights" if inspection.suggestion.fine_tuning else "training from scratch"
    chosen = f"What imclass train chooses on this machine, for {how}; class_weights=balanced when it is told so."
    yield f'<p class="quiet">{chosen}</p><div class="cards">'
    yield from (_card(name, value) for name, value in suggested(inspection.suggestion))
    yield "</div>"


def _card(name: str, value: object, *, bad: bool = False, anchor: str | None = None) -> str:
    shown = f"{value:,}" if isinstance(value, int) else escape(printable(value))
    kind = "card bad" if bad else "card"
    text = f"<b>{shown}</b>{escape(name.replace('_', ' '))}"
    return f'<a class="{kind}" href="#{anchor}">{text}</a>' if anchor else f'<div class="{kind}">{text}</div>'


def _both(inspection: Inspection, albums: Sequence["_Album"]) -> Iterator[str]:
    shared = inspection.shared
    yield '<h2 id="both">In both data sets</h2><div class="cards">'
    yield _card("images in both", len(shared), bad=bool(shared))
    yield _card("of them with different labels", sum(each.labels_differ for each in shared))
    yield _card("classes without images in the first", len(inspection.untrained), bad=bool(inspection.untrained))
    yield "</div>"
    if inspection.untrained:
        rows = [(entry.index, entry.name or "", entry.images) for entry in inspection.untrained]
        yield from _table("Classes of the second without images in the first", ("class", "name", "images"), rows)
    if shared:
        yield "<h3>Images in both</h3>"
        yield '<div class="groups">'
        for each in shared[:GROUPS_SHOWN]:
            how = "same bytes" if each.exact else "alike"
            pictures = albums[0].figure(each.first) + albums[1].figure(each.second)
            yield f'<div class="group"><p>{how}, {_labels(each.labels_differ)}</p><div>{pictures}</div></div>'
        yield "</div>" + _more(len(shared) - GROUPS_SHOWN)


def _source(report: SourceReport, album: _Album, anchor: str) -> Iterator[str]:
    values = dict(figures(report))
    yield f'<h2 id="{anchor}">{escape(printable(report.name))}</h2><div class="cards">'
    yield _card("images", values["images"])
    yield _card("classes", values["classes"], anchor=f"{anchor}-classes")
    if values["label_columns"] > 1:
        yield _card("labels an image", values["label_columns"])
    for name in _PROBLEMS:
        target = f"{anchor}-classes" if name == "classes_without_images" else f"{anchor}-{name}"
        yield _card(name, values[name], bad=values[name] > 0, anchor=target if values[name] else None)
        if name == "unreadable":
            yield _card("of them truncated", values["truncated"], bad=values["truncated"] > 0)
    yield "</div>" + '<div class="tables">'
    yield from _measures(report)
    yield "</div>"
    if report.unreadable:
        rows = [(image.key, "truncated" if image.truncated else "", image.reason) for image in report.unreadable]
        yield f'<h3 id="{anchor}-unreadable">Unreadable images</h3>'
        yield from _table("", ("image", "", "reason"), rows)
    if report.label_problems:
        yield f'<h3 id="{anchor}-label_problems">Labels that cannot be</h3><div class="groups">'
        yield "".join(album.figure(problem.key) for problem in report.label_problems[:IMAGES_OF_A_GROUP]) + "</div>"
        problems = [
            (problem.key, ",".join(f"{value:g}" for value in problem.label), problem.reason)
            for problem in report.label_problems
        ]
        yield from _table("", ("image", "label", "it"), problems)
    yield from _groups("Same bytes", f"{anchor}-exact_duplicates", report.exact_duplicates, album)
    yield from _groups("Alike", f"{anchor}-near_duplicates", report.near_duplicates, album)


def _measures(report: SourceReport) -> Iterator[str]:
    sides = [
        (name, extent.least, extent.median, extent.most)
        for name, extent in (("width", report.widths), ("height", report.heights))
        if extent is not None
    ]
    yield from _table("Pixels", ("", "least", "median", "most"), sides)
    yield from _table("Formats", (), [(name.upper(), count) for name, count in report.formats.items()])
    yield from _table("Channels as stored", (), [(str(number), count) for number, count in report.channels.items()])
    sizes = [(f"{size.width} x {size.height}", size.images) for size in report.sizes]
    more = f", the commonest of {report.different_sizes:,}" if report.different_sizes > len(sizes) else ""
    yield from _table(f"Sizes{more}", (), sizes)


def _classes(
    report: SourceReport, album: _Album, weights: Sequence[float], table: str, most_thumbnails: int
) -> Iterator[str]:
    classes = report.classes[:CLASSES_SHOWN]
    most = max((entry.images for entry in classes), default=0)
    examples = min(IMAGES_OF_A_CLASS, most_thumbnails // max(len(classes), 1))
    if len(classes) >= FILTERED_FROM:
        label = "Show classes whose name contains"
        yield f'<input type="search" hidden data-table="{table}" placeholder="{label} ..." aria-label="{label}">'
    columns = [("class", ' class="number"'), ("name", ""), ("images", ' class="number"')]
    if weights:
        columns.append(("weight", ' class="number"'))
    heads = "".join(f'<th scope="col"{kind}><button type="button">{name}</button></th>' for name, kind in columns)
    yield f'<table class="classes" id="{table}"><thead><tr>{heads}<th></th><th></th></tr></thead><tbody>'
    for entry in classes:
        weight = f'<td class="number">{weights[entry.index]:.3f}</td>' if weights else ""
        yield _class_row(entry, most, weight, album, examples)
    yield "</tbody></table>" + _more(len(report.classes) - CLASSES_SHOWN)


def _class_row(entry: ClassCount, most: int, weight: str, album: _Album, examples: int) -> str:
    labels = album.source.labels
    of_class = labels[:, entry.index] > 0.5 if labels.shape[1] > 1 else labels[:, 0] == entry.index
    chosen = np.flatnonzero(of_class)[:examples].tolist()
    pictures = "".join(album.picture(album.source.key(index)) for index in chosen)
    bar = f'<div class="bar" style="width:{100 * entry.images / most:.1f}%"></div>' if entry.images else ""
    count = "number" if entry.images else "number differ"
    return (
        f'<tr><td class="number">{entry.index}</td><td>{escape(printable(entry.name or ""))}</td>'
        f'<td class="{count}" data-value="{entry.images}">{entry.images:,}</td>{weight}'
        f'<td><div class="bars">{bar}</div></td>'
        f'<td><div class="strip">{pictures}</div></td></tr>'
    )


def _groups(title: str, anchor: str, groups: Sequence[Duplicates], album: _Album) -> Iterator[str]:
    if not groups:
        return
    differ = sum(group.labels_differ for group in groups)
    note = f', <span class="differ">{differ:,} with different labels</span>' if differ else ""
    counted = f"{len(groups):,} group{'s' if len(groups) > 1 else ''}"
    yield f'<h3 id="{anchor}">{title}: {counted}{note}</h3><div class="groups">'
    for group in sorted(groups, key=lambda group: not group.labels_differ)[:GROUPS_SHOWN]:
        pictures = "".join(album.figure(key) for key in group.keys[:IMAGES_OF_A_GROUP])
        more = _more(len(group.keys) - IMAGES_OF_A_GROUP)
        yield f'<div class="group"><p>{_labels(group.labels_differ)}</p><div>{pictures}</div>{more}</div>'
    yield "</div>" + _more(len(groups) - GROUPS_SHOWN)


def _labels(differ: bool) -> str:
    return '<span class="differ">labels differ</span>' if differ else "same label"


def _table(caption: str, columns: Iterable[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    if not rows:
        return
    heads = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    yield "<table>" + (f"<caption>{escape(caption)}</caption>" if caption else "")
    if heads:
        yield f"<thead><tr>{heads}</tr></thead>"
    yield "<tbody>"
    for row in rows[:LINES_SHOWN]:
        yield "<tr>" + "".join(_cell(field) for field in row) + "</tr>"
    yield "</tbody></table>" + _more(len(rows) - LINES_SHOWN)


def _cell(field: object) -> str:
    return f'<td class="number">{field:,}</td>' if isinstance(field, int) else f"<td>{escape(printable(field))}</td>"


def _more(count: int) -> str:
    return f'<p class="quiet">... and {count:,} more; --json names all of them</p>' if count > 0 else ""
