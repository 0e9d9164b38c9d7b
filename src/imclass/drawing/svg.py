"""Charts as SVG elements for the page, whose style sheet gives them their colours.

What the script needs to show values is in the attribute `data-points`: where the points of each x are, and what to
say about them. The chart reads without it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from imclass.drawing.axes import NumberAxis
from imclass.drawing.charts import Chart, Series
from imclass.drawing.colours import ON_LIGHT
from imclass.drawing.frame import MOST_DOTS, Frame, path_of, thinned

WIDTH, HEIGHT = 560, 300
COLOURS = len(ON_LIGHT)


def svg(chart: Chart) -> Markup:
    """Draw a chart."""
    x = NumberAxis(*chart.extent("x"), counts=chart.counts, words=chart.x_format, most_ticks=8)
    y = NumberAxis(*chart.extent("y"), words=chart.y_format)
    places = _Places(Frame(x, y, WIDTH, HEIGHT), x, y)
    drawn = [_thinned(each) for each in chart.series]
    points = escape(json.dumps(_points(chart, drawn, places), separators=(",", ":")))
    parts = [
        f'<svg class="chart" id="chart-{chart.name}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" '
        f'aria-label="{escape(chart.title)}" data-points="{points}">',
        *places.frame.grid(chart.x_label, chart.y_label),
    ]
    if chart.mark is not None:
        place, words = chart.mark
        top, foot = places.frame.top, HEIGHT - places.frame.bottom
        parts.append(f'<line class="mark" x1="{places.x(place):.1f}" x2="{places.x(place):.1f}" y1="{top}" ')
        parts.append(f'y2="{foot}"><title>{escape(words)}</title></line>')
    for number, each in enumerate(drawn):
        parts += _drawn(each, number % COLOURS, places)
    return Markup("".join([*parts, "</svg>"]))


@dataclass(frozen=True)
class _Places:
    """From values to pixels."""

    frame: Frame
    x_axis: NumberAxis
    y_axis: NumberAxis

    def x(self, value: float) -> float:
        return self.frame.across(self.x_axis.share(value))

    def y(self, value: float) -> float:
        return self.frame.up(self.y_axis.share(value))


def legend(chart: Chart) -> list[tuple[int, str]]:
    """(number of the colour, name) of what has to be told apart."""
    named = [(number % COLOURS, each.name) for number, each in enumerate(chart.series) if each.kind != "dashes"]
    return named if len(named) > 1 else []


def _drawn(series: Series, number: int, places: _Places) -> Iterator[str]:
    pairs = [(float(x), float(y)) for x, y in zip(series.x, series.y, strict=True)]
    if series.kind == "bars":
        for x, y in pairs:
            if np.isfinite(y):
                left, right = places.x(x - series.width / 2), places.x(x + series.width / 2)
                foot = places.y(max(places.y_axis.low, 0.0))
                yield f'<rect class="bar s{number}" x="{left + 0.5:.1f}" width="{max(right - left - 1, 1):.1f}" '
                yield f'y="{places.y(y):.1f}" height="{max(foot - places.y(y), 0):.1f}"/>'
        return
    shown = "dashes" if series.kind == "dashes" else f"line s{number}"
    pixels = [(places.x(x), places.y(y)) for x, y in pairs]
    yield f'<path class="{shown}" d="{path_of(pixels)}"/>'
    finite = [pixel for pixel in pixels if np.isfinite(pixel[1])]
    if series.kind == "line" and len(finite) <= MOST_DOTS:
        for x, y in finite:
            yield f'<circle class="dot s{number}" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>'


def _thinned(series: Series) -> Series:
    kept = thinned(len(series.x))
    x, y = np.asarray(series.x, np.float64)[kept], np.asarray(series.y, np.float64)[kept]
    return Series(series.name, x, y, series.kind, series.width)


def _points(chart: Chart, drawn: list[Series], places: _Places) -> list[dict[str, object]]:
    """For each x that has values, in order: its pixel, and one line of words and one pixel for each value."""
    found: dict[float, list[tuple[float, str, int]]] = {}
    for number, each in enumerate(drawn):
        if each.kind == "dashes":
            continue
        for x, y in zip(_floats(each.x), _floats(each.y), strict=True):
            if np.isfinite(y):
                found.setdefault(x, []).append((y, each.name, number % COLOURS))
    return [
        {
            "x": round(places.x(x), 1),
            "at": chart.x_words(x) if chart.x_words else f"{chart.x_label} {chart.x_format(x)}",
            "values": [
                [round(places.y(y), 1), number, f"{name}: {chart.y_format(y)}" if name else chart.y_format(y)]
                for y, name, number in values
            ],
        }
        for x, values in sorted(found.items())
    ]


def _floats(values: object) -> list[float]:
    numbers: NDArray[np.float64] = np.asarray(values, np.float64)
    listed: list[float] = numbers.tolist()
    return listed
