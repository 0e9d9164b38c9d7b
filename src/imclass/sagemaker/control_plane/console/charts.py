"""Charts for pages: places of lines, dots and ticks in a drawing of `WIDTH` x `HEIGHT`, which a template writes as SVG.

y values grow upwards, pixels downwards. An axis of a range that is searched logarithmically is logarithmic too.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 16, 50
MOST_POINTS = 400
"""Points of a line that are drawn; more would look the same."""
MOST_DOTS = 40
"""Points of a line that get a dot each."""

Point = tuple[float, float]
Words = Callable[[float], str]


def number(value: float) -> str:
    """A number in few characters."""
    return f"{value:.4g}"


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Attributes:
        name: in the legend.
        points: finite, in the order in which a line joins them.
        kind: "line", "dots", or "steps": a line that goes across before it goes up or down.
    """

    name: str
    points: Sequence[Point]
    kind: Literal["line", "dots", "steps"] = "line"


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        label: what it shows.
        words: a value for people.
        is_whole: whether only whole numbers have a meaning.
        is_logarithmic: whether equal distances are equal ratios; all values are positive.
        names: of the values 0, 1, 2 and so on, for what has no numbers; empty for what has.
    """

    label: str
    words: Words = number
    is_whole: bool = False
    is_logarithmic: bool = False
    names: Sequence[str] = ()

    def say(self, value: float) -> str:
        return self.names[round(value)] if self.names else self.words(value)


@dataclass(frozen=True)
class Chart:
    """What is to be drawn.

    Attributes:
        name: for its element's id.
        title: what it shows.
        series: at least one, each with at least one point.
    """

    name: str
    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its pixel, and its words."""

    at: float
    words: str


@dataclass(frozen=True)
class Dot:
    """A dot, and what there is to say about it."""

    x: float
    y: float
    words: str


@dataclass(frozen=True)
class Drawn:
    """A series in pixels.

    Attributes:
        path: for the attribute `d`; empty for dots only.
        dots: all points of it, those that can be told apart, or none.
    """

    name: str
    path: str
    dots: Sequence[Dot]


@dataclass(frozen=True)
class Drawing:
    """A chart in pixels."""

    chart: Chart
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    series: Sequence[Drawn]


def draw(chart: Chart) -> Drawing:
    """Find the places of everything on a chart."""
    across = _Scale.over(chart.x, [x for each in chart.series for x, _ in each.points], (LEFT, WIDTH - RIGHT))
    up = _Scale.over(chart.y, [y for each in chart.series for _, y in each.points], (HEIGHT - BOTTOM, TOP))
    drawn = [_drawn(each, across, up) for each in chart.series]
    return Drawing(chart, across.ticks(8), up.ticks(5), drawn)


def _drawn(series: Series, across: "_Scale", up: "_Scale") -> Drawn:
    points = thinned(series.points)
    pixels = [(across(x), up(y)) for x, y in points]
    has_dots = series.kind == "dots" or (series.kind == "line" and len(points) <= MOST_DOTS)
    dots = [
        Dot(*pixel, f"{series.name}, {across.axis.label} {across.axis.say(x)}: {up.axis.say(y)}")
        for pixel, (x, y) in zip(pixels, points, strict=True)
        if has_dots
    ]
    return Drawn(series.name, "" if series.kind == "dots" else path_of(pixels, series.kind), dots)


@dataclass(frozen=True)
class _Scale:
    """From values to pixels of one axis."""

    axis: Axis
    low: float
    high: float
    pixels: tuple[float, float]

    @classmethod
    def over(cls, axis: Axis, values: Sequence[float], pixels: tuple[float, float]) -> "_Scale":
        """A scale that has room for all values."""
        if axis.names:
            return cls(axis, -0.5, len(axis.names) - 0.5, pixels)
        moved = [math.log10(value) for value in values] if axis.is_logarithmic else list(values)
        low, high = min(moved), max(moved)
        if low == high:
            room = 0.5 if axis.is_logarithmic or axis.is_whole else abs(low) / 20 or 0.5
        else:
            room = 0.0 if axis.is_whole else (high - low) / 20
        return cls(axis, low - room, high + room, pixels)

    def __call__(self, value: float) -> float:
        moved = math.log10(value) if self.axis.is_logarithmic else value
        first, last = self.pixels
        return round(first + (moved - self.low) / (self.high - self.low) * (last - first), 1)

    def ticks(self, most: int) -> list[Tick]:
        if self.axis.names:
            return [Tick(self(place), name) for place, name in enumerate(self.axis.names)]
        values = (
            logarithmic_ticks(self.low, self.high, most)
            if self.axis.is_logarithmic
            else linear_ticks(self.low, self.high, most, whole=self.axis.is_whole)
        )
        return [Tick(self(value), self.axis.words(value)) for value in values]


def linear_ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Round numbers in an interval, 1, 2 or 5 times a power of ten apart."""
    rough = max((high - low) / most, 1.0 if whole else 0.0)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def logarithmic_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two powers of ten: powers of ten if there are two of them, else linear ones."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if last - first < 1:
        return [value for value in linear_ticks(10.0**low, 10.0**high, most) if value > 0]
    step = math.ceil((last - first + 1) / most)
    return [10.0**power for power in range(first, last + 1, step)]


def thinned(points: Sequence[Point]) -> Sequence[Point]:
    """At most `MOST_POINTS` of them, the first and the last too."""
    if len(points) <= MOST_POINTS:
        return points
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(place * step)] for place in range(MOST_POINTS)]


def path_of(pixels: Sequence[Point], kind: str) -> str:
    """The commands of an SVG path."""
    (x, y), *rest = pixels
    steps = [f"M{x},{y}"]
    steps += [f"H{x}V{y}" if kind == "steps" else f"L{x},{y}" for x, y in rest]
    return "".join(steps)
