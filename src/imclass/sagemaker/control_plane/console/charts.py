"""Charts for pages: the places of lines and dots in a drawing of `WIDTH` x `HEIGHT`, which a template writes as SVG.

An axis of a range that is searched logarithmically is logarithmic too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from imclass.drawing import axes
from imclass.drawing.frame import MOST_DOTS, Frame, path_of, thinned

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 16, 50

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
    """A chart in pixels.

    Attributes:
        grid: the axes, as SVG elements.
    """

    chart: Chart
    grid: Markup
    series: Sequence[Drawn]


def draw(chart: Chart) -> Drawing:
    """Find the places of everything on a chart."""
    x = axis_over(chart.x, [x for each in chart.series for x, _ in each.points])
    y = axis_over(chart.y, [y for each in chart.series for _, y in each.points])
    frame = Frame(x, y, WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM)
    grid = Markup("").join(Markup(element) for element in frame.grid(chart.x.label, ""))  # the title names the y axis
    return Drawing(chart, grid, [_drawn(each, chart, frame) for each in chart.series])


def axis_over(axis: Axis, values: Sequence[float]) -> axes.Axis:
    """An axis that has room for all values."""
    if axis.names:
        return axes.ChoiceAxis(tuple(axis.names))
    if axis.is_whole:
        low, high = min(values), max(values)
        room = 0.5 if low == high else 0.0
        return axes.NumberAxis(low - room, high + room, counts=True, words=axis.words, most_ticks=8)
    return axes.axis_around(values, axis.words, scale="Logarithmic" if axis.is_logarithmic else "Linear")


def _drawn(series: Series, chart: Chart, frame: Frame) -> Drawn:
    points = [series.points[place] for place in thinned(len(series.points))]
    pixels = [(frame.across(_share(frame.x, x)), frame.up(_share(frame.y, y))) for x, y in points]
    has_dots = series.kind == "dots" or (series.kind == "line" and len(points) <= MOST_DOTS)
    dots = [
        Dot(
            round(x, 1), round(y, 1), f"{series.name}, {chart.x.label} {chart.x.say(point[0])}: {chart.y.say(point[1])}"
        )
        for (x, y), point in zip(pixels, points, strict=True)
        if has_dots
    ]
    return Drawn(series.name, "" if series.kind == "dots" else path_of(pixels, steps=series.kind == "steps"), dots)


def _share(axis: axes.Axis, value: float) -> float:
    return axis.share_of_place(value) if isinstance(axis, axes.ChoiceAxis) else axis.share(value)
