"""Where things are on charts."""

import re

import pytest

from imclass.drawing.frame import MOST_POINTS
from imclass.sagemaker.control_plane.console.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Chart,
    Drawing,
    Series,
    draw,
)


def drawn(*series: Series, x: Axis | None = None, y: Axis | None = None) -> Drawing:
    return draw(Chart("name", "title", x or Axis("x"), y or Axis("y"), series))


def across(drawing: Drawing) -> list[str]:
    """What is written at the ticks of the x axis."""
    return re.findall(r'<text x="[^"]*" y="[^"]*" text-anchor="middle">([^<]*)</text>', drawing.grid)


def test_points_are_where_their_values_are() -> None:
    drawing = drawn(Series("a", [(0, 0.0), (5, 1.0), (10, 0.5)]), x=Axis("epoch", is_whole=True))
    (line,) = drawing.series
    first, middle, last = line.dots
    assert (first.x, last.x) == (LEFT, WIDTH - RIGHT)
    assert middle.x == (LEFT + WIDTH - RIGHT) / 2
    assert HEIGHT - BOTTOM > first.y > last.y > middle.y > TOP, "larger values are higher"
    assert line.path == f"M{first.x},{first.y}L{middle.x},{middle.y}L{last.x},{last.y}"
    assert across(drawing) == ["0", "2", "4", "6", "8", "10"]
    assert middle.words == "a, epoch 5: 1"


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e-9, 1e12])
def test_one_point_is_in_the_middle(value: float) -> None:
    (line,) = drawn(Series("a", [(1, value)]), x=Axis("x", is_whole=True)).series
    assert line.dots[0].x == (LEFT + WIDTH - RIGHT) / 2
    assert line.dots[0].y == pytest.approx((TOP + HEIGHT - BOTTOM) / 2, abs=0.1)


def test_a_logarithmic_axis() -> None:
    drawing = drawn(Series("a", [(0.001, 1), (0.01, 2), (0.1, 3)], "dots"), x=Axis("rate", is_logarithmic=True))
    first, second, third = drawing.series[0].dots
    assert second.x - first.x == pytest.approx(third.x - second.x, abs=0.2)
    assert across(drawing) == ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1"]
    assert drawing.series[0].path == ""


def test_an_axis_of_names() -> None:
    drawing = drawn(Series("a", [(0, 1), (2, 2)], "dots"), x=Axis("optimizer", names=["sgd", "adam", "nag"]))
    assert across(drawing) == ["sgd", "adam", "nag"]
    first, last = drawing.series[0].dots
    assert last.x - first.x == pytest.approx((WIDTH - LEFT - RIGHT) * 2 / 3, abs=0.2)
    assert drawing.series[0].dots[1].words == "a, optimizer nag: 2"


def test_steps_go_across_first() -> None:
    (line,) = drawn(Series("a", [(0, 0.0), (1, 1.0)], "steps")).series
    assert re.fullmatch(r"M[\d.]+,[\d.]+H[\d.]+V[\d.]+", line.path)
    assert line.dots == []


def test_long_lines_are_thinned() -> None:
    (line,) = drawn(Series("a", [(float(x), float(x % 7)) for x in range(5000)])).series
    assert line.path.count("L") < MOST_POINTS
    assert line.dots == [], "too many to tell apart"
