"""The axes of a drawing as SVG elements, and places in it.

::

    +--------------------------------+   HEIGHT and width in pixels; y values grow upwards, pixels downwards
    | left |  values            right|
    |------+-------------------------|
    |      |  ticks, label    bottom |
    +--------------------------------+

The style sheet of the page gives the classes `grid`, `axis` and `label` their colours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from imclass.drawing.axes import Axis

MOST_POINTS = 400
"""Points of a line that are drawn; more would make the page larger and look the same."""
MOST_DOTS = 40
"""Points of a line that get a dot each: more cannot be told apart."""


@dataclass(frozen=True)
class Frame:
    """A drawing with two axes.

    Attributes:
        x, y: the axes.
        width, height: of the whole.
        left, right, top, bottom: room around what is between the axes.
    """

    x: Axis
    y: Axis
    width: int
    height: int
    left: int = 64
    right: int = 14
    top: int = 14
    bottom: int = 46

    def across(self, share: float) -> float:
        """The pixel of a place on the x axis, from 0 to 1."""
        return self.left + share * (self.width - self.left - self.right)

    def up(self, share: float) -> float:
        """The pixel of a place on the y axis, from 0 to 1."""
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)

    def grid(self, x_label: str, y_label: str) -> Iterator[str]:
        """The axes with their ticks and what they show; an empty label of the y axis takes no room."""
        foot, right = self.height - self.bottom, self.width - self.right
        for tick in self.x.ticks():
            x = self.across(tick.share)
            yield f'<path class="grid" d="M{x:.1f},{self.top}V{foot}"/>'
            yield f'<text x="{x:.1f}" y="{foot + 19}" text-anchor="middle">{escape(tick.label)}</text>'
        for tick in self.y.ticks():
            y = self.up(tick.share)
            yield f'<path class="grid" d="M{self.left},{y:.1f}H{right}"/>'
            yield f'<text x="{self.left - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(tick.label)}</text>'
        yield f'<path class="axis" d="M{self.left},{self.top}V{foot}H{right}"/>'
        middle, base = (self.left + right) / 2, self.height - 6
        yield f'<text class="label" x="{middle:.0f}" y="{base}" text-anchor="middle">{escape(x_label)}</text>'
        if y_label:
            turned = f"translate(13,{(self.top + foot) / 2:.0f}) rotate(-90)"
            yield f'<text class="label" transform="{turned}" text-anchor="middle">{escape(y_label)}</text>'


def path_of(pixels: Sequence[tuple[float, float]], *, steps: bool = False) -> str:
    """The commands of an SVG path through some pixels, with gaps where one is not finite.

    Args:
        steps: go across before going up or down.
    """
    commands, pen_is_down = [], False
    for x, y in pixels:
        if not (np.isfinite(x) and np.isfinite(y)):
            pen_is_down = False
            continue
        if not pen_is_down:
            commands.append(f"M{x:.1f},{y:.1f}")
        elif steps:
            commands.append(f"H{x:.1f}V{y:.1f}")
        else:
            commands.append(f"L{x:.1f},{y:.1f}")
        pen_is_down = True
    return "".join(commands)


def thinned(count: int) -> NDArray[np.int64]:
    """Which of `count` points are drawn: (M,) int64, `MOST_POINTS` at most, the first and the last too."""
    if count <= MOST_POINTS:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, MOST_POINTS).round().astype(np.int64))
