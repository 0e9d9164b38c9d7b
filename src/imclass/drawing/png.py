"""Charts as PNG files, by matplotlib, for slides and papers: always dark on white."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from imclass.drawing.charts import Chart
from imclass.drawing.colours import ON_LIGHT

DOTS_PER_INCH = 144
NAMED_CLASSES = 40
"""So many class names can be read along the axes of a matrix."""


def png(chart: Chart) -> bytes:
    """Draw a chart."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for number, each in enumerate(chart.series):
        colour = ON_LIGHT[number % len(ON_LIGHT)]
        if each.kind == "bars":
            axes.bar(each.x, each.y, each.width, color=colour, alpha=0.75, edgecolor="white", label=each.name)
        elif each.kind == "dashes":
            axes.plot(each.x, each.y, linestyle="--", color="#888888", linewidth=1, label="_")
        else:
            marker = "o" if len(each.x) <= 40 else None
            axes.plot(each.x, each.y, color=colour, linewidth=1.6, marker=marker, markersize=2.5, label=each.name)
    if chart.mark is not None:
        axes.axvline(chart.mark[0], color="#888888", linewidth=1, linestyle=":")
    axes.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)
    axes.set_xlim(*_roomy(chart.extent("x"), chart.x_range is None))
    axes.set_ylim(*_roomy(chart.extent("y"), chart.y_range is None))
    if chart.counts:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: chart.x_format(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: chart.y_format(value)))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    if sum(each.kind != "dashes" for each in chart.series) > 1:
        axes.legend(frameon=False)
    return _encoded(figure)


def matrix_png(matrix: NDArray[np.int64], names: Sequence[str], title: str) -> bytes:
    """Draw a confusion matrix, each row as shares of its images.

    Args:
        matrix: (K, K), row = label, column = answer.
        names: of the classes in that order.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(14.0, 4.0 + 0.18 * len(names))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set(title=title, xlabel="answer", ylabel="label")
    if len(names) <= NAMED_CLASSES and all(name.isascii() for name in names):  # what matplotlib's own font can write
        plain = [name.replace("$", r"\$") for name in names]  # else matplotlib reads formulas
        axes.set_xticks(range(len(names)), plain, rotation=90)
        axes.set_yticks(range(len(names)), plain)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the label's images")
    return _encoded(figure)


def _roomy(extent: tuple[float, float], makes_room: bool) -> tuple[float, float]:
    low, high = extent
    room = 0.03 * (high - low) if makes_room else 0.0
    return low - room, high + room


def _encoded(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()
