"""What an inspection found, as one HTML page with thumbnails that needs no other file."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np

from imclass.cli.inspection_text import Inspection, figures, suggested
from imclass.cli.messages import printable
from imclass.data import Source
from imclass.errors import ImageError
from imclass.images.inspection import Duplicates, SourceReport
from imclass.images.reencode import Encoding, reencode

THUMBNAIL = Encoding(resize=96, quality=80)
GROUPS_SHOWN = 100
CLASSES_SHOWN = 200
IMAGES_OF_A_CLASS = 8
IMAGES_OF_A_GROUP = 12
LINES_SHOWN = 200

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { display: inline-block; margin: .2rem .4rem .2rem 0; width: 7rem; vertical-align: top; }
figcaption { font-size: 11px; line-height: 1.2; overflow-wrap: anywhere; }
img { display: block; max-width: 7rem; max-height: 7rem; }
.bar { background: #4878a8; height: .7rem; display: inline-block; }
.differ { color: #a00; font-weight: 600; }
"""


def page(inspection: Inspection, sources: Sequence[Source]) -> str:
    """Make the page.

    Args:
        inspection: what was found.
        sources: the data sets, for their thumbnails.
    """
    albums = [_Album(source) for source in sources]
    body: list[str] = []
    if inspection.suggestion is not None:
        body += ["<h2>Suggested</h2>", *_table((), suggested(inspection.suggestion))]
    for report, album in zip(inspection.sources, albums, strict=True):
        body += _source(report, album)
    if inspection.shared:
        body += _shared(inspection, albums)
    if inspection.untrained:
        rows = [(entry.index, entry.name or "", entry.images) for entry in inspection.untrained]
        body.append("<h2>Classes of the second without images in the first</h2>")
        body += _table(("class", "name", "images"), rows)
    title = escape(" and ".join(printable(report.name) for report in inspection.sources))
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head><body>',
            f"<h1>{title}</h1>",
            *body,
            "</body></html>",
        ]
    )


class _Album:
    """Thumbnails of a source, by the keys of its samples."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.samples = {source.key(index): index for index in range(len(source))}

    def figure(self, key: str) -> str:
        """An image with its key below it; the key alone when the image cannot be read."""
        try:
            data = reencode(self.source[self.samples[key]].image, THUMBNAIL)
        except ImageError:
            picture = ""
        else:
            picture = f'<img loading="lazy" alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
        return f"<figure>{picture}<figcaption>{escape(printable(key))}</figcaption></figure>"


def _source(report: SourceReport, album: _Album) -> Iterator[str]:
    yield f"<h2>{escape(printable(report.name))}</h2>"
    counts = [(name.replace("_", " "), value) for name, value in figures(report)]
    counts += [(format.upper(), count) for format, count in report.formats.items()]
    counts += [(f"channels: {channels}", count) for channels, count in report.channels.items()]
    yield from _table((), counts)
    yield "<h3>Commonest sizes</h3>"
    yield from _table(("size", "images"), [(f"{size.width} x {size.height}", size.images) for size in report.sizes])
    yield "<h3>Classes</h3>"
    yield from _classes(report, album)
    if report.unreadable:
        yield "<h3>Unreadable images</h3>"
        rows = [(image.key, "truncated" if image.truncated else "", image.reason) for image in report.unreadable]
        yield from _table(("image", "", "reason"), rows)
    if report.label_problems:
        yield "<h3>Labels that cannot be</h3>"
        yield "".join(album.figure(problem.key) for problem in report.label_problems[:IMAGES_OF_A_GROUP])
        problems = [
            (problem.key, ",".join(f"{value:g}" for value in problem.label), problem.reason)
            for problem in report.label_problems
        ]
        yield from _table(("image", "label", "it"), problems)
    yield from _groups("Same bytes", report.exact_duplicates, album)
    yield from _groups("Alike", report.near_duplicates, album)


def _classes(report: SourceReport, album: _Album) -> Iterator[str]:
    most = max((entry.images for entry in report.classes), default=0)
    labels = album.source.labels
    yield "<table><tr><th>class</th><th>name</th><th>images</th><th></th></tr>"
    for entry in report.classes[:CLASSES_SHOWN]:
        of_class = labels[:, entry.index] > 0.5 if labels.shape[1] > 1 else labels[:, 0] == entry.index
        examples = np.flatnonzero(of_class)[:IMAGES_OF_A_CLASS].tolist()
        pictures = "".join(album.figure(album.source.key(index)) for index in examples)
        bar = f'<span class="bar" style="width:{100 * entry.images / most if most else 0:.1f}%"></span>'
        yield (
            f'<tr><td class="number">{entry.index}</td><td>{escape(printable(entry.name or ""))}</td>'
            f'<td class="number">{entry.images:,}</td><td>{bar}<div>{pictures}</div></td></tr>'
        )
    yield "</table>" + _more(len(report.classes) - CLASSES_SHOWN)


def _groups(title: str, groups: Sequence[Duplicates], album: _Album) -> Iterator[str]:
    if not groups:
        return
    yield f"<h3>{title}</h3>"
    for group in groups[:GROUPS_SHOWN]:
        pictures = "".join(album.figure(key) for key in group.keys[:IMAGES_OF_A_GROUP])
        yield f"<p>{_labels(group.labels_differ)}</p><div>{pictures}</div>{_more(len(group.keys) - IMAGES_OF_A_GROUP)}"
    yield _more(len(groups) - GROUPS_SHOWN)


def _shared(inspection: Inspection, albums: Sequence[_Album]) -> Iterator[str]:
    yield "<h2>Images in both</h2>"
    for each in inspection.shared[:GROUPS_SHOWN]:
        how = "same bytes" if each.exact else "alike"
        yield f"<p>{how}, {_labels(each.labels_differ)}</p>"
        yield f"<div>{albums[0].figure(each.first)}{albums[1].figure(each.second)}</div>"
    yield _more(len(inspection.shared) - GROUPS_SHOWN)


def _labels(differ: bool) -> str:
    return '<span class="differ">labels differ</span>' if differ else "same label"


def _table(columns: Iterable[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    heads = "".join(f"<th>{escape(column)}</th>" for column in columns)
    yield "<table>" + (f"<tr>{heads}</tr>" if heads else "")
    for row in rows[:LINES_SHOWN]:
        yield "<tr>" + "".join(_cell(field) for field in row) + "</tr>"
    yield "</table>" + _more(len(rows) - LINES_SHOWN)


def _cell(field: object) -> str:
    return f'<td class="number">{field:,}</td>' if isinstance(field, int) else f"<td>{escape(printable(field))}</td>"


def _more(count: int) -> str:
    return f"<p>... and {count:,} more; --json names all of them</p>" if count > 0 else ""
