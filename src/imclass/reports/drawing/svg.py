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

from imclass.reports.drawing.charts import Chart, Series, ticks

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 14, 46
COLOURS = 8
"""That the style sheet has; the ninth series has the first again."""

MOST_POINTS = 400
"""Points of a line that are drawn; more would make the page larger and look the same."""


@dataclass(frozen=True)
class _Scale:
    """From values to pixels of one axis."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)


def svg(chart: Chart) -> Markup:
    """Draw a chart."""
    across = _Scale(*chart.extent("x"), LEFT, WIDTH - RIGHT)
    up = _Scale(*chart.extent("y"), HEIGHT - BOTTOM, TOP)
    thinned = [_thinned(each) for each in chart.series]
    points = escape(json.dumps(_points(chart, thinned, across, up), separators=(",", ":")))
    parts = [
        f'<svg class="chart" id="chart-{chart.name}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" '
        f'aria-label="{escape(chart.title)}" data-points="{points}">',
        *_grid(chart, across, up),
    ]
    if chart.mark is not None:
        place, words = chart.mark
        parts.append(f'<line class="mark" x1="{across(place):.1f}" x2="{across(place):.1f}" y1="{TOP}" ')
        parts.append(f'y2="{HEIGHT - BOTTOM}"><title>{escape(words)}</title></line>')
    for number, each in enumerate(thinned):
        parts += _drawn(each, number % COLOURS, across, up)
    return Markup("".join([*parts, "</svg>"]))


def legend(chart: Chart) -> list[tuple[int, str]]:
    """(number of the colour, name) of what has to be told apart."""
    named = [(number % COLOURS, each.name) for number, each in enumerate(chart.series) if each.kind != "dashes"]
    return named if len(named) > 1 else []


def _grid(chart: Chart, across: _Scale, up: _Scale) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for value in ticks(across.low, across.high, 8, whole=chart.counts):
        x = across(value)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(chart.x_format(value))}</text>'
    for value in ticks(up.low, up.high):
        y = up(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(chart.y_format(value))}</text>'
    yield f'<path class="axis" d="M{LEFT},{TOP}V{bottom}H{right}"/>'
    middle = (LEFT + right) / 2
    yield f'<text class="label" x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(chart.x_label)}</text>'
    turned = f"translate(13,{(TOP + bottom) / 2:.0f}) rotate(-90)"
    yield f'<text class="label" transform="{turned}" text-anchor="middle">{escape(chart.y_label)}</text>'


def _drawn(series: Series, number: int, across: _Scale, up: _Scale) -> Iterator[str]:
    pairs = [(float(x), float(y)) for x, y in zip(series.x, series.y, strict=True)]
    if series.kind == "bars":
        for x, y in pairs:
            if np.isfinite(y):
                left, right = across(x - series.width / 2), across(x + series.width / 2)
                yield f'<rect class="bar s{number}" x="{left + 0.5:.1f}" width="{max(right - left - 1, 1):.1f}" '
                yield f'y="{up(y):.1f}" height="{max(up(max(up.low, 0.0)) - up(y), 0):.1f}"/>'
        return
    shown = "dashes" if series.kind == "dashes" else f"line s{number}"
    yield f'<path class="{shown}" d="{_path(pairs, across, up)}"/>'
    if series.kind == "line" and sum(np.isfinite(y) for _, y in pairs) <= 40:
        for x, y in pairs:
            if np.isfinite(y):
                yield f'<circle class="dot s{number}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="2.2"/>'


def _path(pairs: list[tuple[float, float]], across: _Scale, up: _Scale) -> str:
    steps, pen_is_down = [], False
    for x, y in pairs:
        if not (np.isfinite(x) and np.isfinite(y)):
            pen_is_down = False
            continue
        steps.append(f"{'L' if pen_is_down else 'M'}{across(x):.1f},{up(y):.1f}")
        pen_is_down = True
    return "".join(steps)


def _thinned(series: Series) -> Series:
    if len(series.x) <= MOST_POINTS:
        return series
    kept = np.unique(np.linspace(0, len(series.x) - 1, MOST_POINTS).round().astype(np.int64))
    x, y = np.asarray(series.x, np.float64)[kept], np.asarray(series.y, np.float64)[kept]
    return Series(series.name, x, y, series.kind, series.width)


def _points(chart: Chart, thinned: list[Series], across: _Scale, up: _Scale) -> list[dict[str, object]]:
    """For each x that has values, in order: its pixel, and one line of words and one pixel for each value."""
    found: dict[float, list[tuple[float, str, int]]] = {}
    for number, each in enumerate(thinned):
        if each.kind == "dashes":
            continue
        for x, y in zip(_floats(each.x), _floats(each.y), strict=True):
            if np.isfinite(y):
                found.setdefault(x, []).append((y, each.name, number % COLOURS))
    return [
        {
            "x": round(across(x), 1),
            "at": chart.x_words(x) if chart.x_words else f"{chart.x_label} {chart.x_format(x)}",
            "values": [
                [round(up(y), 1), number, f"{name}: {chart.y_format(y)}" if name else chart.y_format(y)]
                for y, name, number in values
            ],
        }
        for x, values in sorted(found.items())
    ]


def _floats(values: object) -> list[float]:
    numbers: NDArray[np.float64] = np.asarray(values, np.float64)
    listed: list[float] = numbers.tolist()
    return listed
