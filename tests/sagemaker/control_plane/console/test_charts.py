"""Where things are on charts."""

import re

import pytest

from imclass.sagemaker.control_plane.console.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MOST_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Chart,
    Drawing,
    Series,
    draw,
    linear_ticks,
    logarithmic_ticks,
    thinned,
)


def drawn(*series: Series, x: Axis | None = None, y: Axis | None = None) -> Drawing:
    return draw(Chart("name", "title", x or Axis("x"), y or Axis("y"), series))


def test_points_are_where_their_values_are() -> None:
    drawing = drawn(Series("a", [(0, 0.0), (5, 1.0), (10, 0.5)]), x=Axis("epoch", is_whole=True))
    (line,) = drawing.series
    first, middle, last = line.dots
    assert (first.x, last.x) == (LEFT, WIDTH - RIGHT)
    assert middle.x == (LEFT + WIDTH - RIGHT) / 2
    assert HEIGHT - BOTTOM > first.y > last.y > middle.y > TOP, "larger values are higher"
    assert line.path == f"M{first.x},{first.y}L{middle.x},{middle.y}L{last.x},{last.y}"
    assert [tick.words for tick in drawing.x_ticks] == ["0", "2", "4", "6", "8", "10"]
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
    assert [tick.words for tick in drawing.x_ticks] == ["0.001", "0.01", "0.1"]
    assert drawing.series[0].path == ""


def test_an_axis_of_names() -> None:
    drawing = drawn(Series("a", [(0, 1), (2, 2)], "dots"), x=Axis("optimizer", names=["sgd", "adam", "nag"]))
    assert [tick.words for tick in drawing.x_ticks] == ["sgd", "adam", "nag"]
    assert [dot.x for dot in drawing.series[0].dots] == [drawing.x_ticks[0].at, drawing.x_ticks[2].at]
    assert drawing.series[0].dots[1].words == "a, optimizer nag: 2"


def test_steps_go_across_first() -> None:
    (line,) = drawn(Series("a", [(0, 0.0), (1, 1.0)], "steps")).series
    assert re.fullmatch(r"M[\d.]+,[\d.]+H[\d.]+V[\d.]+", line.path)
    assert line.dots == []


def test_long_lines_are_thinned_and_keep_their_ends() -> None:
    points = [(float(x), float(x % 7)) for x in range(5000)]
    kept = thinned(points)
    assert len(kept) == MOST_POINTS
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert kept == sorted(set(kept))
    assert thinned(points[:9]) == points[:9]
    assert drawn(Series("a", points)).series[0].dots == [], "too many to tell apart"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.93, 0.98, [0.93, 0.94, 0.95, 0.96, 0.97, 0.98]),
        (-5, 5, [-4, -2, 0, 2, 4]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert linear_ticks(low, high, 5) == expected


def test_whole_ticks_are_whole() -> None:
    assert linear_ticks(0, 2, 8, whole=True) == [0, 1, 2]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-3, -1, [0.001, 0.01, 0.1]),
        (0, 8, [1, 100, 1e4, 1e6, 1e8]),
        (0.01, 0.3, [1.2, 1.4, 1.6, 1.8]),
    ],
)
def test_logarithmic_ticks(low: float, high: float, expected: list[float]) -> None:
    assert logarithmic_ticks(low, high, 5) == pytest.approx(expected)
