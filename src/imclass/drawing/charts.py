"""What a chart shows, without saying how it is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Numbers = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Points of one line, or bars.

    Attributes:
        name: in the legend.
        x, y: as many of one as of the other; NaN leaves a gap.
        kind: "line", "bars" (`width` wide, from 0 up) or "dashes" (a line to compare with, which is not in the legend).
        width: of a bar, in units of x.
    """

    name: str
    x: Numbers
    y: Numbers
    kind: Literal["line", "bars", "dashes"] = "line"
    width: float = 0.0


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        name: of its PNG file, and its anchor on the page.
        title: what it shows.
        x_label, y_label: of the axes.
        series: drawn in this order.
        x_format, y_format: of a value, in words.
        x_words: what to say of a place on the x axis whose values are shown; None for its label and value.
        x_range, y_range: of the axes; None for what the points need.
        mark: a place on the x axis and what is there.
        counts: whether only whole numbers make sense on the x axis.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_format: Callable[[float], str] = field(default=lambda value: f"{value:g}")
    y_format: Callable[[float], str] = field(default=lambda value: f"{value:.4g}")
    x_words: Callable[[float], str] | None = None
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    mark: tuple[float, str] | None = None
    counts: bool = False

    def extent(self, axis: Literal["x", "y"]) -> tuple[float, float]:
        """From where to where an axis goes; never of length 0."""
        given = self.x_range if axis == "x" else self.y_range
        if given is not None:
            return given
        values = np.concatenate([np.asarray(getattr(each, axis), np.float64) for each in self.series])
        finite = values[np.isfinite(values)]
        if not len(finite):
            return 0.0, 1.0
        low, high = float(finite.min()), float(finite.max())
        if low == high:
            room = abs(low) / 2 or 0.5
            return low - room, high + room
        return low, high


def percent(value: float) -> str:
    """A share in words: 0.8765 is 87.65%."""
    return f"{100 * value:.4g}%"
