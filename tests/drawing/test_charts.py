import json
import re
import xml.etree.ElementTree as ElementTree
from html import unescape

import cv2
import numpy as np
import pytest

from imclass.drawing.charts import Chart, Series, percent
from imclass.drawing.frame import MOST_POINTS
from imclass.drawing.png import matrix_png, png
from imclass.drawing.svg import legend, svg

CHART = Chart(
    "loss", "Loss <1>", "epoch", "loss", [Series("a", (1, 2, 3), (0.5, np.nan, 0.25)), Series("b", (1, 2), (1, 2))]
)


def test_axes_have_a_length_whatever_there_is_to_show() -> None:
    assert Chart("x", "", "", "", [Series("", (1,), (np.nan,))]).extent("y") == (0, 1)
    assert Chart("x", "", "", "", [Series("", (1,), (4,))]).extent("y") == (2, 6)
    assert Chart("x", "", "", "", [Series("", (1,), (0,))]).extent("y") == (-0.5, 0.5)
    assert CHART.extent("y") == (0.25, 2)


def test_shares_in_words() -> None:
    assert [percent(value) for value in (0.8765, 1.0, 0.0, 0.00012)] == ["87.65%", "100%", "0%", "0.012%"]


def test_the_drawing_is_sound_and_says_its_values() -> None:
    text = str(svg(CHART))
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == "Loss <1>"
    assert len(root.findall("circle")) == 4
    points = json.loads(unescape(re.search(r'data-points="([^"]*)"', text)[1]))  # type: ignore[index]
    assert [point["at"] for point in points] == ["epoch 1", "epoch 2", "epoch 3"]
    assert [value[2] for value in points[0]["values"]] == ["a: 0.5", "b: 1"]
    assert [value[2] for value in points[1]["values"]] == ["b: 2"]
    lines = [path.get("d") or "" for path in root.findall("path") if "line" in (path.get("class") or "")]
    assert lines[0].count("M") == 2, "a gap is left where there is no value"
    assert legend(CHART) == [(0, "a"), (1, "b")]


def test_larger_values_are_higher_up() -> None:
    root = ElementTree.fromstring(str(svg(CHART)))
    dots = [(float(dot.get("cx") or 0), float(dot.get("cy") or 0)) for dot in root.findall("circle")]
    assert dots[0][1] < dots[1][1]
    assert dots[0][0] < dots[1][0]


def test_bars_stand_on_zero() -> None:
    chart = Chart("x", "", "", "", [Series("", (0.25, 0.75), (0.5, 1.0), "bars", 0.5)], x_range=(0, 1), y_range=(0, 1))
    bars = ElementTree.fromstring(str(svg(chart))).findall("rect")
    feet = [float(bar.get("y") or 0) + float(bar.get("height") or 0) for bar in bars]
    assert feet == pytest.approx([254.0, 254.0], abs=0.11)
    assert float(bars[1].get("height") or 0) == pytest.approx(2 * float(bars[0].get("height") or 0), abs=0.3)


def test_long_lines_are_thinned() -> None:
    x = np.linspace(0, 1, 30_000)
    text = str(svg(Chart("x", "", "", "", [Series("", x, x**2)])))
    assert text.count("L") <= MOST_POINTS
    assert len(text) < 60_000


def test_pictures_are_drawn() -> None:
    for content in (png(CHART), matrix_png(np.diag([3, 2, 5]), ("a", "$b$", "c"), "What")):
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert min(picture.shape[:2]) > 300
        assert picture.std() > 5
    assert png(CHART) == png(CHART)


def test_names_that_the_font_lacks_are_left_out() -> None:
    assert len(matrix_png(np.diag([1, 1]), ("犬", "猫"), "What")) > 1000
